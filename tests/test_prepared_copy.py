"""The copy that start.sh serves: of what its source holds, whole, and never rewritten."""

from __future__ import annotations

import mmap
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.prepare import PrepareError, prepare, prepared
from models.whole_file import NoRoomError, in_use, unfinished
from tests.gguf_bytes import HIDDEN, Gguf
from toolkit.running import ROOT, environment


def gguf(norm: float) -> bytes:
    """GGUFs of one length, which differ in their norms."""
    made = Gguf()
    made.tensors["norm"].data = np.full(HIDDEN, norm, "<f4").tobytes()
    return made.content()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model-Q8_0.gguf"
    path.write_bytes(gguf(1))
    return path


def norm_of(copy: Path) -> float:
    """What tells the tests' models from each other."""
    content = copy.read_bytes()
    (norm,) = {value for value in (1.0, 2.0) if np.full(HIDDEN, value, "<f4").tobytes() in content}
    return norm


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def _start(source: Path, before: str = "") -> subprocess.Popen[str]:
    script = f"import models.prepare\n{before}\nmodels.prepare.main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, str(source)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _replace_by_older(source: Path) -> None:
    other = source.with_name("other")
    other.write_bytes(gguf(2))
    os.utime(other, (1, 1))
    other.replace(source)


def _replace_keeping_times(source: Path) -> None:
    times = source.stat().st_atime_ns, source.stat().st_mtime_ns
    _replace_by_older(source)
    os.utime(source, ns=times)


def _rewrite_keeping_times(source: Path) -> None:
    times = source.stat().st_atime_ns, source.stat().st_mtime_ns
    with source.open("r+b") as file:
        file.write(gguf(2))
    os.utime(source, ns=times)


@pytest.mark.parametrize(
    "replace", [_replace_by_older, _replace_keeping_times, _rewrite_keeping_times]
)
def test_other_source_has_another_copy(source: Path, replace: Callable[[Path], None]) -> None:
    first = prepared(source)
    assert norm_of(first) == 1
    assert prepared(source) == first

    replace(source)
    second = prepared(source)

    assert norm_of(second) == 2
    assert files(source.parent) == {source.name, second.name}


def test_name_is_that_of_the_content(source: Path) -> None:
    first = prepared(source)
    assert re.fullmatch(r"model-Q8_0\.[0-9a-f]{16}\.prefix\.gguf", first.name)
    status = first.stat()

    os.utime(source)
    assert prepared(source) == first
    _replace_by_older(source)
    assert prepared(source).name != first.name
    source.write_bytes(gguf(1))
    assert prepared(source).name == first.name
    assert status.st_size == first.stat().st_size


def test_copy_that_is_in_use_stays(source: Path) -> None:
    first = prepared(source)
    with in_use(first):
        _replace_by_older(source)
        second = prepared(source)
        assert files(source.parent) == {source.name, first.name, second.name}

    assert prepared(source) == second
    assert files(source.parent) == {source.name, second.name}


def test_other_files_stay(source: Path) -> None:
    names = ["model-Q8_0.prefix.gguf", "model-Q8_0.x.0123456789abcdef.prefix.gguf", "model.gguf"]
    for name in names:
        (source.parent / name).write_bytes(b"mine")

    copy = prepared(source)

    assert files(source.parent) == {source.name, copy.name, *names}


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1000)


def _spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\1")


@pytest.mark.parametrize("damage", [_cut, _empty, _lengthen, _spoil])
def test_damaged_copy_is_made_again(source: Path, damage: Callable[[Path], None]) -> None:
    copy = prepared(source)
    whole, times = copy.read_bytes(), copy.stat()
    damage(copy)
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    spoilt = copy.read_bytes()

    with copy.open("rb") as file:
        if spoilt:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        assert prepared(source) == copy

        assert copy.read_bytes() == whole
        # Who has the old file open keeps what it held.
        assert not spoilt or mapped[:] == spoilt


@pytest.mark.parametrize("left", [b"", b"GGUF", b"x" * 10**6])
def test_leftover_is_thrown_away(source: Path, left: bytes) -> None:
    copy = prepared(source)
    whole = copy.read_bytes()
    copy.unlink()
    (partial,) = _partials_of(source)
    partial.write_bytes(left)

    assert prepared(source).read_bytes() == whole
    assert files(source.parent) == {source.name, copy.name}


def _partials_of(source: Path) -> list[Path]:
    """Where a copy grows, as a process that is killed leaves it."""
    process = _start(
        source, "import os\nmodels.prepare._content = lambda *_: os.kill(os.getpid(), 9)"
    )
    process.communicate(timeout=60)
    return [*source.parent.glob("*.part")]


def test_second_process_waits_and_takes_the_first_ones(source: Path) -> None:
    (partial,) = _partials_of(source)
    with unfinished(partial, keep=False):
        second = _start(source)
        assert second.stderr is not None
        assert re.search(
            rf"waiting for another process, .*{partial.name}", second.stderr.readline()
        )
        third = _start(source)
        assert third.stderr is not None
        assert "waiting" in third.stderr.readline()
    told = {process.communicate(timeout=60)[0].strip() for process in (second, third)}

    copy = prepared(source)
    assert told == {str(copy)}
    assert files(source.parent) == {source.name, copy.name}


ENDINGS = pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])


@ENDINGS
def test_ends_while_it_waits(source: Path, number: int, status: int) -> None:
    (partial,) = _partials_of(source)
    with unfinished(partial, keep=False):
        process = _start(source)
        assert process.stderr is not None
        assert "waiting" in process.stderr.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, "Traceback" in errors) == (status, False)


@ENDINGS
def test_ends_while_it_writes(source: Path, number: int, status: int) -> None:
    slow = """
def content(*_):
    import sys, time
    print("writing", file=sys.stderr, flush=True)
    while True:
        yield bytes(1000)
        time.sleep(0.1)
models.prepare._content = content"""
    process = _start(source, slow)
    assert process.stderr is not None
    while "writing" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, "Traceback" in errors) == (status, False)
    assert files(source.parent) == {source.name}
    assert norm_of(prepared(source)) == 1


def test_full_disk(source: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        with pytest.raises(NoRoomError, match="has no room left"):
            prepared(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert files(source.parent) == {source.name}


def test_source_is_not_overwritten(source: Path) -> None:
    link = source.with_name("link.gguf")
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(PrepareError, match="is the source itself"):
            prepare(source, target)
    assert source.read_bytes() == gguf(1)


def test_source_that_changes_meanwhile(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = "models.prepare._check_room"
    monkeypatch.setattr(check, lambda *_: _rewrite_keeping_times(source))

    with pytest.raises(PrepareError, match="changed while it was read"):
        prepared(source)
    assert files(source.parent) == {source.name}
