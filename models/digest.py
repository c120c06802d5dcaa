"""SHA-256 of large files, remembered beside them for as long as they stay what they were.

A time of modification can be set and so says nothing. Size, inode and ctime do: nobody sets a
ctime, and every change of a file's content or name moves it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_CHUNK_BYTES = 2**20
# File systems keep ctimes with up to this precision: a younger one may stand for two contents.
_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class Stamp:
    """What changes with every change of a file."""

    size: int
    inode: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Raises `OSError`."""
        status = path.stat()
        return cls(status.st_size, status.st_ino, status.st_ctime_ns)


def sha256(path: Path) -> str:
    """SHA-256 of the file, hexadecimal; read again only if it may have changed."""
    stamp = Stamp.of(path)
    known = _recall(path, stamp)
    if known:
        return known
    settled = time.time_ns() - stamp.ctime_ns > _SETTLED_NS
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if settled and Stamp.of(path) == stamp:
        remember(path, digest.hexdigest())
    return digest.hexdigest()


def remember(path: Path, digest: str) -> None:
    """Take `digest` for that of the file from now on, if its folder can be written."""
    record = _record(path)
    partial = record.with_name(f"{record.name}.{os.getpid()}")
    with suppress(OSError):
        partial.write_text(json.dumps({"sha256": digest, **asdict(Stamp.of(path))}))
        partial.replace(record)


def forget(path: Path) -> None:
    """Delete what is remembered of a file that is gone."""
    with suppress(OSError):
        _record(path).unlink()


def _recall(path: Path, stamp: Stamp) -> str | None:
    try:
        known = json.loads(_record(path).read_text())
        digest = known.pop("sha256")
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    return str(digest) if known == asdict(stamp) else None


def _record(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")
