"""`python -m models.download` against a stand-in hub."""

from __future__ import annotations

import contextlib
import io
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from models import download as download_module
from models.download import DownloadError, RemoteFile
from models.families import CARDS, check_file
from tests.gguf_bytes import Gguf, gguf_of
from tests.hub import Hub, sha256
from toolkit.running import ROOT, environment, run_on_terminal, wait_until

REPOSITORY = "jinaai/jina-reranker-v3-GGUF"
RANDOM = np.random.default_rng(0)
GGUF = "jina-reranker-v3-Q8_0.gguf"
PROJECTOR = "projector.safetensors"
_MATRIX = np.ones((8, 8), np.float32)
FILES = {
    "README.md": b"model card",
    PROJECTOR: save({"projector.0.weight": _MATRIX, "projector.2.weight": _MATRIX}),
    GGUF: gguf_of(RANDOM.bytes(320_000)),
    "jina-reranker-v3-Q4_K_M.gguf": gguf_of(RANDOM.bytes(160_000)),
    "jina-reranker-v3-BF16.gguf": gguf_of(RANDOM.bytes(640_000)),
}
WANTED = {name: FILES[name] for name in (GGUF, PROJECTOR)}
PARTIAL = f"{GGUF}.{sha256(FILES[GGUF])[:8]}.part"
FOLDER = Path("weights", "jina-reranker-v3")

COMMAND = [sys.executable, "-m", "models.download", "jina-reranker-v3"]
MIB = 2**20


def _environment(folder: Path, hub: str, **variables: str) -> dict[str, str]:
    return environment(
        PYTHONPATH=str(ROOT), HF_ENDPOINT=hub, HF_HOME=str(folder / "home"), **variables
    )


@dataclass
class Done:
    """How the command ended, and what it said on stderr."""

    returncode: int
    stderr: str


def download(folder: Path, hub: str, *arguments: str, model: str = "jina-reranker-v3") -> Done:
    """Run the command in a folder; in this process, for the hub's library loads slowly."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["models.download", model, *arguments])
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub)
        patch.setattr(constants, "ENDPOINT", hub)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        handler = signal.getsignal(signal.SIGTERM)
        try:
            download_module.main()
        except SystemExit as ended:
            return Done(1, f"{errors.getvalue()}{ended.code}")
        finally:
            signal.signal(signal.SIGTERM, handler)
    return Done(0, errors.getvalue())


def run(folder: Path, hub: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        COMMAND,
        cwd=folder,
        env=_environment(folder, hub, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


def start(folder: Path, hub: str) -> subprocess.Popen[str]:
    """Start the command in a folder of its own."""
    return subprocess.Popen(
        COMMAND,
        cwd=folder,
        env=_environment(folder, hub),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / FOLDER).glob("*")}


@pytest.mark.parametrize(
    ("arguments", "gguf"),
    [
        ((), "jina-reranker-v3-Q8_0.gguf"),
        (("--quant", "Q4_K_M"), "jina-reranker-v3-Q4_K_M.gguf"),
        (("--quant", "bf16"), "jina-reranker-v3-BF16.gguf"),
    ],
)
def test_fetches_gguf_and_projector(
    tmp_path: Path, arguments: tuple[str, ...], gguf: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        done = download(tmp_path, hub.url, *arguments)

    assert done.returncode == 0, done.stderr
    assert "licensed under CC BY-NC 4.0" in capsys.readouterr().out
    names = {gguf, "projector.safetensors"}
    assert stored(tmp_path) == {name: FILES[name] for name in names}


def test_a_model_without_projector_is_its_gguf(tmp_path: Path) -> None:
    name = "Qwen3-Reranker-0.6B"
    gguf = {"qwen3-reranker-0.6b-q8_0.gguf": FILES[GGUF]}
    with Hub(CARDS[name].repository, gguf) as hub:
        done = download(tmp_path, hub.url, model=name)
        hub.requests.clear()
        again = download(tmp_path, hub.url, model=name)

        assert not hub.requests
    assert (done.returncode, again.returncode) == (0, 0), done.stderr
    (path,) = (tmp_path / "weights" / name).glob("[!.]*")
    assert path.read_bytes() == FILES[GGUF]


def test_second_run_does_nothing(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        download(tmp_path, hub.url)
        hub.requests.clear()

        done = download(tmp_path, hub.url)

    assert done.returncode == 0
    assert hub.requests == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 1)]
)
def test_continues_where_it_was_ended(tmp_path: Path, number: int, status: int) -> None:
    files = FILES | {GGUF: gguf_of(RANDOM.bytes(24 * MIB))}
    with Hub(REPOSITORY, files, stall_after=23 * MIB) as hub:
        first = start(tmp_path, hub.url)
        assert hub.stalled.wait(30)
        wait_until(lambda: _size_of_parts(tmp_path) >= 20 * MIB)
        first.send_signal(number)
        _, errors = first.communicate(timeout=30)
        assert (first.returncode, "Traceback" in errors) == (status, False)
        assert stored(tmp_path).keys() == {_part(tmp_path).name}
        kept = _size_of_parts(tmp_path)

        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == {name: files[name] for name in WANTED}
    assert [range_ for _, _, range_ in hub.requests if range_] == [f"bytes={kept}-"]


def test_two_at_once_fetch_one_file(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES, stall_after=100_000) as hub:
        first = start(tmp_path, hub.url)
        assert hub.stalled.wait(30)
        second = start(tmp_path, hub.url)
        assert second.stderr is not None
        waiting = second.stderr.readline()
        hub.go_on.set()
        for process in (first, second):
            process.communicate(timeout=60)

    assert "waiting for another process" in waiting
    assert GGUF in waiting
    assert (first.returncode, second.returncode) == (0, 0)
    assert stored(tmp_path) == WANTED
    fetched = [path for method, path, _ in hub.requests if method == "GET" and "resolve" in path]
    assert len(fetched) == len(WANTED)


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("told", [{}, {"size": 0}, {"size": None, "lfs": None}])
def test_hub_that_tells_no_sizes(tmp_path: Path, told: dict[str, Any], headers: bool) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        hub.tells = dict.fromkeys(FILES, told)
        hub.tells_headers = headers
        hub.tells_commit = headers
        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == WANTED


def _told(size: int, digest: str) -> dict[str, Any]:
    return {"size": size, "lfs": {"sha256": digest, "size": size, "pointerSize": 134}}


@pytest.mark.parametrize(
    ("told", "content", "message"),
    [
        (_told(1000, sha256(FILES[GGUF])), FILES[GGUF], "announced 1,000 bytes"),
        (_told(10**6, sha256(FILES[GGUF])), FILES[GGUF], "announced 1,000,000 bytes"),
        (_told(len(FILES[GGUF]), "0" * 64), FILES[GGUF], "its SHA-256 is"),
        (None, FILES[GGUF][:-1000], "is cut off"),
        (None, FILES[GGUF] + bytes(1000), "1,000 bytes behind its last tensor"),
        (None, b"<html>log in</html>" * 100, "is not a GGUF file"),
        (None, b"", "cut off"),
    ],
)
def test_hub_that_lies(
    tmp_path: Path, told: dict[str, Any] | None, content: bytes, message: str
) -> None:
    with Hub(REPOSITORY, FILES | {GGUF: content}) as hub:
        hub.tells = {GGUF: told} if told else {}
        done = download(tmp_path, hub.url)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (PARTIAL, b""),
        (PARTIAL, FILES[GGUF][:1000]),
        (PARTIAL, FILES[GGUF]),
        (PARTIAL, b"other" * 1000),
        (PARTIAL, RANDOM.bytes(len(FILES[GGUF]))),
        (PARTIAL, FILES[GGUF] + b"more"),
        (f"{GGUF}.deadbeef.part", FILES[GGUF][:1000]),
        (GGUF, b""),
        (GGUF, FILES[GGUF][:1000]),
        (GGUF, FILES[GGUF] + bytes(40)),
        (PROJECTOR, b""),
        (PROJECTOR, FILES[PROJECTOR][:-1]),
    ],
)
def test_leftover_of_any_kind(tmp_path: Path, name: str, left: bytes) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / name).write_bytes(left)
    with Hub(REPOSITORY, FILES) as hub:
        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == WANTED


@pytest.mark.parametrize("length", [1000, 10**7])
def test_leftover_of_unknown_content(tmp_path: Path, length: int) -> None:
    """The hub tells neither hash nor size, and its commit is that of the leftover."""
    (tmp_path / FOLDER).mkdir(parents=True)
    left = (FILES[GGUF] * 100)[:length]
    (tmp_path / FOLDER / f"{GGUF}.00000000.part").write_bytes(left)
    with Hub(REPOSITORY, FILES) as hub:
        hub.tells = {name: {"size": None} for name in FILES}
        hub.tells_headers = False
        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert stored(tmp_path) == WANTED


def test_full_disk_is_told_and_what_came_is_kept(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Hub(REPOSITORY, FILES) as hub:
        # Writing further fails as on a disk that is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
        done = download(tmp_path, hub.url)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        assert done.returncode == 1
        assert "has no room left" in done.stderr
        assert "Traceback" not in done.stderr
        assert 0 < _size_of_parts(tmp_path) <= 100_000

        assert download(tmp_path, hub.url).returncode == 0

    assert stored(tmp_path) == WANTED


def test_what_is_kept_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RemoteFile("repository", "0" * 40, "m-Q8_0.gguf", 1000, "a" * 64)
    (tmp_path / file.partial_name).write_bytes(bytes(400))
    for free, enough in [(600, True), (599, False)]:
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _, free=free: shutil._ntuple_diskusage(0, 0, free)
        )
        if enough:
            download_module._check_space(tmp_path, [file])
        else:
            with pytest.raises(DownloadError, match="are needed in"):
                download_module._check_space(tmp_path, [file])


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
    files = {"../outside-Q8_0.gguf": b"harm", "outside-Q8_0.gguf": FILES[GGUF], **FILES}
    with Hub(REPOSITORY, files) as hub:
        done = download(tmp_path, hub.url)

    assert done.returncode == 0, done.stderr
    assert not [*tmp_path.glob("weights/*.gguf")]
    assert stored(tmp_path).keys() == {"outside-Q8_0.gguf", "projector.safetensors"}


def test_disk_too_small(tmp_path: Path) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        hub.tells = {GGUF: {"size": 10**15}}
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


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"siblings": 3}', b'{"siblings": [{}]}'])
def test_answer_that_is_no_hubs(tmp_path: Path, answer: bytes) -> None:
    with Hub(REPOSITORY, FILES) as hub:
        hub.answer = answer
        done = download(tmp_path, hub.url)

    assert done.returncode == 1
    assert "check HF_ENDPOINT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("http://127.0.0.1:9", {}),
        ("http://127.0.0.1:9", {"HF_HUB_OFFLINE": "1"}),
        ("localhost", {}),
    ],
)
def test_offline(tmp_path: Path, url: str, variables: dict[str, str]) -> None:
    done = run(tmp_path, url, **variables)

    assert done.returncode == 1
    assert "the hub cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "models.download", "nope"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "jina-reranker-v3" in done.stderr


WINDOWED = "jina-reranker-v3.5"
_LAYERS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}


def _windowed_gguf() -> bytes:
    made = Gguf()
    made.metadata["qwen3.block_count"] = 2
    return made.content()


WINDOWED_FILES = {
    f"{WINDOWED}-Q8_0.gguf": _windowed_gguf(),
    PROJECTOR: FILES[PROJECTOR],
    "config.json": json.dumps(_LAYERS).encode(),
}


def test_windows_and_projector_come_from_where_they_are(tmp_path: Path) -> None:
    gguf, *_ = WINDOWED_FILES
    repositories = zip(
        (CARDS[WINDOWED].repository, *reversed(CARDS[WINDOWED].companions)),
        WINDOWED_FILES,
        strict=True,
    )
    with Hub(REPOSITORY, WINDOWED_FILES) as hub:
        hub.repositories = {repository: [name] for repository, name in repositories}
        done = download(tmp_path, hub.url, model=WINDOWED)
        hub.requests.clear()
        again = download(tmp_path, hub.url, model=WINDOWED)
        assert not hub.requests

    assert (done.returncode, again.returncode) == (0, 0), done.stderr
    folder = tmp_path / "weights" / WINDOWED
    assert {p.name: p.read_bytes() for p in folder.glob("[!.]*")} == WINDOWED_FILES
    check_file(WINDOWED, folder / gguf)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"config.json": None}, "have no config.json"),
        ({PROJECTOR: None}, f"have no {PROJECTOR}"),
        ({"config.json": b"{}<"}, "cannot be used: .* is no configuration"),
        (
            {"config.json": json.dumps(_LAYERS | {"layer_types": ["full_attention"]}).encode()},
            "do not fit each other: neither .* tells of windows",
        ),
        (
            {
                PROJECTOR: save(
                    {f"projector.{i}.weight": np.ones((4, 4), np.float32) for i in (0, 2)}
                )
            },
            "hidden states of size 8, .* takes 4",
        ),
    ],
)
def test_windows_that_do_not_fit(
    tmp_path: Path, changed: dict[str, bytes | None], told: str
) -> None:
    files = {n: c for n, c in (WINDOWED_FILES | changed).items() if c is not None}
    with Hub("jinaai/", files) as hub:
        done = download(tmp_path, hub.url, model=WINDOWED)
    assert done.returncode == 1
    assert re.search(told, done.stderr), done.stderr
