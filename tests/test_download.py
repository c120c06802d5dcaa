"""`python -m models.download` against a stand-in hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub import Hub
from tests.running import ROOT, environment, run_on_terminal, wait_until

REPOSITORY = "jinaai/jina-reranker-v3-GGUF"
FILES = {
    "README.md": b"model card",
    "projector.safetensors": os.urandom(10_000),
    "jina-reranker-v3-Q8_0.gguf": os.urandom(300_000),
    "jina-reranker-v3-Q4_K_M.gguf": os.urandom(200_000),
    "jina-reranker-v3-BF16.gguf": os.urandom(400_000),
}


COMMAND = [sys.executable, "-m", "models.download", "jina-reranker-v3"]
MIB = 2**20


def _environment(folder: Path, hub: str, **variables: str) -> dict[str, str]:
    return environment(
        PYTHONPATH=str(ROOT), HF_ENDPOINT=hub, HF_HOME=str(folder / "home"), **variables
    )


def download(
    folder: Path, hub: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=_environment(folder, hub, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


def stored(folder: Path) -> dict[str, bytes]:
    weights = folder / "weights" / "jina-reranker-v3"
    return {path.name: path.read_bytes() for path in weights.glob("*.*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "gguf"),
    [
        ((), "jina-reranker-v3-Q8_0.gguf"),
        (("--quant", "Q4_K_M"), "jina-reranker-v3-Q4_K_M.gguf"),
        (("--quant", "bf16"), "jina-reranker-v3-BF16.gguf"),
    ],
)
def test_fetches_gguf_and_projector(tmp_path: Path, arguments: tuple[str, ...], gguf: str) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        done = download(tmp_path, hub.url, *arguments)

    assert done.returncode == 0, done.stderr
    names = {gguf, "projector.safetensors"}
    assert stored(tmp_path) == {name: FILES[name] for name in names}


def test_second_run_does_nothing(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        download(tmp_path, hub.url)
        hub.requests.clear()

        done = download(tmp_path, hub.url)

    assert done.returncode == 0
    assert hub.requests == []


def test_continues_where_it_was_killed(tmp_path: Path) -> None:
    content = os.urandom(24 * MIB)
    files = FILES | {"jina-reranker-v3-Q8_0.gguf": content}
    with Hub(REPOSITORY, files, stall_after=23 * MIB) as hub:
        first = subprocess.Popen(COMMAND, cwd=tmp_path, env=_environment(tmp_path, hub.url))
        assert hub.stalled.wait(30)
        wait_until(lambda: _size_of_parts(tmp_path) >= 20 * MIB)
        first.kill()
        first.wait()
        assert stored(tmp_path).keys() == {_part(tmp_path).name}
        kept = _size_of_parts(tmp_path)

        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == {
        name: files[name] for name in ("jina-reranker-v3-Q8_0.gguf", "projector.safetensors")
    }
    assert [range_ for _, _, range_ in hub.requests if range_] == [f"bytes={kept}-"]


def test_progress_bar_on_a_terminal(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        shown = run_on_terminal(COMMAND, cwd=tmp_path, env=_environment(tmp_path, hub.url))

    assert "100%" in shown


def _part(folder: Path) -> Path:
    (part,) = folder.glob("weights/*/*.part")
    return part


def _size_of_parts(folder: Path) -> int:
    return sum(part.stat().st_size for part in folder.glob("weights/*/*.part"))


def test_unknown_quant_lists_those_that_exist(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        done = download(tmp_path, hub.url, "--quant", "Q9")

    assert done.returncode == 1
    assert "there is no quant Q9; there are BF16, Q4_K_M, Q8_0" in done.stderr


def test_files_of_other_folders_are_not_fetched(tmp_path: Path) -> None:
    # The first name that fits is taken; what a hub that means harm calls so may not be.
    files = {"../outside-Q8_0.gguf": b"harm", "outside-Q8_0.gguf": b"fine", **FILES}
    with Hub(REPOSITORY, files) as hub:
        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.glob("weights/*.gguf")]
    assert stored(tmp_path).keys() == {"outside-Q8_0.gguf", "projector.safetensors"}


def test_disk_too_small(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        hub.sizes["jina-reranker-v3-Q8_0.gguf"] = 10**15
        done = download(tmp_path, hub.url)

    assert done.returncode == 1
    assert "1000000.00 GB are needed" in done.stderr
    assert stored(tmp_path) == {}


@pytest.mark.parametrize("status", [401, 403, 500])
def test_hub_refuses(tmp_path: Path, status: int) -> None:
    with Hub(REPOSITORY, FILES, status=status) as hub:
        done = download(tmp_path, hub.url)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ("HF_TOKEN" if status < 500 else "try again later") in done.stderr


@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_offline(tmp_path: Path, variables: dict[str, str]) -> None:
    done = download(tmp_path, "http://127.0.0.1:9", **variables)

    assert done.returncode == 1
    assert "the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "models.download", "nope"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "jina-reranker-v3" in done.stderr
