"""Files that appear whole or not at all, whoever else writes them and whenever this ends.

A file grows under a name of its own, locked, and gets its real name when it is complete and on the
disk. A process that wants the same one waits. What is left by one that was killed is found again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoomError(OSError):
    """The disk is full."""


class UnfinishedFile:
    """A file that this process alone writes, at `path`; `file` is open at its end."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.finished = False

    @property
    def size(self) -> int:
        """Bytes that are there."""
        self.file.flush()
        return os.fstat(self.file.fileno()).st_size

    def clear(self) -> None:
        """Throw away what is there."""
        self.file.truncate(0)

    def finish(self, target: Path) -> None:
        """Bring the file to the disk, then to its name, in place of what has that name.

        Who has the old file open, or mapped, keeps it.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self.path.replace(target)
        self.finished = True
        _sync_folder(target.parent)


@contextmanager
def unfinished(path: Path, keep: bool) -> Iterator[UnfinishedFile]:
    """The file `path` as it was left, or empty; waits for another process that writes it.

    If the block does not finish the file, `keep` leaves it for another try. Raises `NoRoomError`
    when the disk is full, another `OSError` where `path` cannot be written or locked.
    """
    file = _open_locked(path)
    output = UnfinishedFile(path, file)
    try:
        yield output
        file.flush()
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoomError(
                f"{path.parent} has no room left ({error.strerror}); make room and run this again"
            ) from error
        raise
    finally:
        # What could not be written cannot be written now either.
        with suppress(OSError):
            file.flush()
        if not output.finished and not (keep and path.stat().st_size):
            path.unlink()
        with suppress(OSError):
            file.close()


def remove_unused(path: Path) -> None:
    """Delete the file, unless another process has it locked or it cannot be deleted."""
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


@contextmanager
def in_use(path: Path | None) -> Iterator[None]:
    """Keep `remove_unused` from deleting the file, if there is one."""
    if path is None:
        yield
        return
    with path.open("rb") as file:
        # Some network file systems have no locks, and no removal then: that needs one too.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


def _open_locked(path: Path) -> BinaryIO:
    while True:
        file = path.open("a+b")
        try:
            _lock(file, path)
            # While this waited, the other may have finished or deleted it.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process, which writes {path}", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}, so it cannot be locked", str(path)
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some file systems cannot, and the name is theirs to keep.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
