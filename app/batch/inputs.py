"""The files that a job reads stay what they were when it began."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from app.batch.errors import BatchError


class Inputs:
    """The files of a job by what they are; to be made before anything else reads them."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Raises `OSError`."""
        self._files = files
        self._marks = {name: _mark(path) for name, path in files.items()}
        self.digests = {name: _digest(path) for name, path in files.items()}

    def check(self) -> None:
        """Raise `BatchError` if a file is no longer what it was."""
        for name, path in self._files.items():
            try:
                mark = _mark(path)
                # Touched is not changed.
                unchanged = mark == self._marks[name] or _digest(path) == self.digests[name]
            except OSError:
                unchanged = False
            if not unchanged:
                raise BatchError(
                    f"{path} changed while the job read it; what was answered before is kept. Put "
                    "it back and the same command continues, or name another file for the answers"
                )
            self._marks[name] = mark


def _mark(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            sha256.update(chunk)
    return sha256.hexdigest()
