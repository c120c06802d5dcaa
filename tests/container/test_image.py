"""What the image is made of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from app import VERSION
from tests.container.docker import BASE, build, docker, inspect
from toolkit.running import ROOT

MOST_BYTES_OVER_BASE = 150e6
CONTENT = {".venv", "LICENSE", "app", "models", "sidecar", "start.sh", "weights"}


def in_image(command: str) -> str:
    return docker("run", "--rm", "jina-reranker-test", "sh", "-c", command)


@pytest.fixture(scope="module", autouse=True)
def layers() -> list[str]:
    return build("jina-reranker-test")


def test_second_build_comes_from_the_cache(layers: list[str]) -> None:
    assert build("jina-reranker-test") == layers


@pytest.mark.parametrize("variant", ["server", "server-vulkan", "server-rocm"])
def test_other_bases(variant: str) -> None:
    base = BASE.replace("server-cuda", variant)

    build(f"jina-reranker-test:{variant}", "--build-arg", f"BASE_IMAGE={base}")

    labels = inspect(f"jina-reranker-test:{variant}")["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == base


def test_size_over_the_base() -> None:
    over = inspect("jina-reranker-test")["Size"] - inspect(BASE)["Size"]

    print(f"\nour layers over the base image: {over / 1e6:.0f} MB")
    history = docker("history", "--format", "{{.Size}}\t{{.CreatedBy}}", "jina-reranker-test")
    print("\n".join(line[:100] for line in history.splitlines() if not line.startswith("0B")))
    assert over <= MOST_BYTES_OVER_BASE


def test_nothing_is_left_of_the_build() -> None:
    assert in_image("for t in gcc cc make pip pip3; do command -v $t || true; done") == ""
    left = "/root/.cache /home/reranker/.cache /var/lib/apt/lists/* .venv/bin/pip /pip"
    assert in_image(f"for f in {left}; do [ ! -e $f ] || echo $f; done") == ""
    assert set(in_image("ls -A").split()) == CONTENT


def test_configuration() -> None:
    config = inspect("jina-reranker-test")["Config"]

    assert config["User"] == "10001"
    assert config["ExposedPorts"].keys() == {"80/tcp"}
    assert not config["Entrypoint"]
    assert "LLAMA_ARG_HOST=127.0.0.1" in config["Env"]
    assert config["Healthcheck"]["Test"] == ["CMD", ".venv/bin/python", "-m", "app.health"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    assert labels.items() >= {"version": VERSION, "licenses": "MIT", "base.name": BASE}.items()
    assert labels.keys() >= {"title", "description", "revision", "source"}


def test_labels_of_a_release() -> None:
    options = ["IMAGE=jina-reranker-test:release", "BUILD=--network host"]
    subprocess.run(["make", "image", *options], cwd=ROOT, check=True)

    labels = inspect("jina-reranker-test:release")["Config"]["Labels"]

    revision = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True)
    assert revision.startswith(labels["org.opencontainers.image.revision"].removesuffix("-dirty"))
    assert labels["org.opencontainers.image.source"]


def test_our_licence_is_there() -> None:
    assert in_image("cat LICENSE") == (ROOT / "LICENSE").read_text()


def test_packages_work_without_what_was_left_out() -> None:
    names = "app.main models.download models.prepare numpy.linalg"
    in_image(f".venv/bin/python -c 'import {', '.join(names.split())}'")
    # It shows what it finds through rich.
    with pytest.raises(AssertionError, match="RERANKER_PORT is a port"):
        in_image("RERANKER_PORT=x .venv/bin/python -m app doctor")


def test_compose_files_are_valid(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", "docker-compose.cpu.yml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    gpu = docker(
        "compose",
        "--project-directory",
        str(tmp_path),
        "-f",
        f"{tmp_path}/docker-compose.yml",
        "config",
    )
    both = ["-f", f"{tmp_path}/docker-compose.yml", "-f", f"{tmp_path}/docker-compose.cpu.yml"]
    cpu = docker("compose", "--project-directory", str(tmp_path), *both, "config")

    assert "driver: nvidia" in gpu
    assert "nvidia" not in cpu
    assert BASE.replace("server-cuda", "server") in cpu
    for config in (gpu, cpu):
        assert "read_only: true" in config
        assert "no-new-privileges:true" in config


@pytest.mark.parametrize(
    ("variables", "published"),
    [
        ({}, (None, "7998")),
        ({"RERANKER_PORT": "8000"}, (None, "8000")),
        ({"RERANKER_PORT": "127.0.0.1:8000"}, ("127.0.0.1", "8000")),
        ({"RERANKER_HOST": "127.0.0.1"}, ("127.0.0.1", "7998")),
        ({"RERANKER_HOST": "::"}, ("::", "7998")),
    ],
)
def test_compose_listens_where_the_settings_say(
    tmp_path: Path, variables: dict[str, str], published: tuple[str | None, str]
) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={variables[name]}\n" for name in variables))
    options = ["--project-directory", str(tmp_path), "-f", str(ROOT / "docker-compose.yml")]

    config = json.loads(docker("compose", *options, "config", "--format", "json"))

    service = config["services"]["jina-reranker"]
    (port,) = service["ports"]
    assert (port.get("host_ip"), port["published"]) == published
    # Inside nothing changes.
    assert service["environment"].items() >= {"RERANKER_HOST": "::", "RERANKER_PORT": "80"}.items()
