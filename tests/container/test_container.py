"""One container of the image, run in ways that the compose files do not choose."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.docker import NETWORK, build, docker, inspect, network
from tests.hub import Hub
from toolkit import tiny_model
from toolkit.running import free_port, wait_until

IMAGE = "jina-reranker-test"
UID = 10001
MODEL = "jina-reranker-v3"
SMALL = ("--env", "LLAMA_ARG_CTX_SIZE=4096", "--health-interval", "1s")


class Container:
    """A container of the image; a context manager that removes it."""

    def __init__(self, *options: str) -> None:
        self.id = docker("run", "--detach", *SMALL, *options, IMAGE).strip()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.id)

    @property
    def running(self) -> bool:
        return bool(inspect(self.id)["State"]["Running"])

    @property
    def health(self) -> str:
        return str(inspect(self.id)["State"]["Health"]["Status"])

    @property
    def status(self) -> int:
        """The exit status."""
        return int(inspect(self.id)["State"]["ExitCode"])

    @property
    def logs(self) -> str:
        return docker("logs", self.id, stderr=True)

    def wait_until_healthy(self) -> None:
        wait_until(lambda: self.health == "healthy" or not self.running, seconds=180)
        assert self.running, self.logs


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    build(IMAGE)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The published repository's, of a small model."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model.make().write(folder)
    return {
        "projector.safetensors": (folder / "projector.safetensors").read_bytes(),
        "jina-reranker-v3-Q8_0.gguf": (folder / "model.gguf").read_bytes(),
    }


@pytest.fixture
def weights(files: dict[str, bytes], tmp_path: Path) -> Path:
    """A folder of the image's user, with a small model."""
    folder = tmp_path / "weights"
    (folder / MODEL).mkdir(parents=True)
    for name, content in files.items():
        (folder / MODEL / name).write_bytes(content)
    give(folder, UID)
    return folder


def give(folder: Path, uid: int) -> None:
    """Make `uid` the owner of a folder and all in it; pytest's own folders let others pass."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, uid, uid)
    for parent in list(folder.parents)[:3]:
        parent.chmod(0o755)


def mount(weights: Path) -> tuple[str, str]:
    return "--volume", f"{weights}:/srv/reranker/weights"


@pytest.mark.parametrize("host", ["::", "127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_health_follows_the_settings(weights: Path, host: str) -> None:
    # Another user's service may have the host's ports.
    port, inner = free_port(), free_port()
    settings = {"HOST": host, "PORT": str(port), "QUEUE_LIMIT": "1"}
    variables = [f"--env=RERANKER_{name}={value}" for name, value in settings.items()]
    options = ("--network", "host", f"--env=LLAMA_SERVER_PORT={inner}", *variables)

    with Container(*options, *mount(weights)) as container:
        container.wait_until_healthy()


def test_all_addresses_where_ipv6_is_off(weights: Path) -> None:
    options = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=1")

    with Container(*options, *mount(weights)) as container:
        container.wait_until_healthy()


def test_all_addresses_where_the_kernel_has_no_ipv6(weights: Path, tmp_path: Path) -> None:
    refused = {"index": 0, "value": socket.AF_INET6, "op": "SCMP_CMP_EQ"}
    rule = {
        "names": ["socket"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": errno.EAFNOSUPPORT,
        "args": [refused],
    }
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))

    with Container("--security-opt", f"seccomp={profile}", *mount(weights)) as container:
        container.wait_until_healthy()


def test_folder_of_another_user(weights: Path) -> None:
    give(weights, 1000)

    with Container(*mount(weights)) as container:
        wait_until(lambda: not container.running)

        assert container.status == 1
        assert f"chown -R {UID} " in container.logs
        assert "Traceback" not in container.logs


def test_empty_folder_of_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    give(folder, 1000)

    with Container(*mount(folder)) as container:
        wait_until(lambda: not container.running)

        assert container.status == 1
        assert f"chown -R {UID} " in container.logs
        assert "Traceback" not in container.logs


def test_stop_during_the_download(files: dict[str, bytes], tmp_path: Path) -> None:
    large = replace(tiny_model.CONFIG, intermediate_size=40_000)
    tiny_model.make(large).write(tmp_path)
    gguf = (tmp_path / "model.gguf").read_bytes()
    folder = tmp_path / "weights"
    folder.mkdir()
    give(folder, UID)

    def kept() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.part"))

    with (
        network() as host,
        Hub(
            "jinaai/jina-reranker-v3-GGUF",
            files | {"jina-reranker-v3-Q8_0.gguf": gguf},
            stall_after=len(gguf) - 1,
            host=host,
        ) as hub,
        Container(
            "--network", NETWORK, f"--env=HF_ENDPOINT={hub.url}", *mount(folder)
        ) as container,
    ):
        # It is written in pieces of 10 MiB.
        wait_until(lambda: kept() > 0, seconds=180)
        start = time.monotonic()
        docker("stop", "--time", "30", container.id)

        assert time.monotonic() - start < 10
        assert container.status == 0
        size = kept()
        assert size > 0

        hub.requests.clear()
        docker("start", container.id)
        container.wait_until_healthy()

        assert [wanted for _, _, wanted in hub.requests if wanted] == [f"bytes={size}-"]
        assert kept() == 0


def test_killed_by_the_memory_limit(weights: Path) -> None:
    # Enough for bash and Python, too little for a context.
    limit = ("--memory", "160m", "--memory-swap", "160m")

    with Container("--env=LLAMA_ARG_CTX_SIZE=1048576", *limit, *mount(weights)) as container:
        wait_until(lambda: not container.running)

        assert container.status != 0
        assert "137" in container.logs
        assert "memory limit" in container.logs
