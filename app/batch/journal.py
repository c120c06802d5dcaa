"""What a job has written, so that it goes on after any stop and writes nothing twice."""

from __future__ import annotations

import fcntl
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from app.batch.errors import BatchError
from app.batch.outputs import Outputs

_RECORD = re.compile(rb"(\d{1,15}) (\d{1,15}) (\d{1,15})( [0-9a-f]{8})?\n")


class Journal:
    """The files of a job: answers, failures, and its progress, which vouches for both.

    The first line of the progress file tells the job. Each other line is `entry answers failures
    checksum`: an entry that is done, the lengths in bytes of both files with it, and the CRC-32 of
    all lines up to here. What lies beyond the last lengths was being written when the job stopped,
    and is cut off. A context manager.
    """

    def __init__(self, outputs: Outputs, job: Mapping[str, str], *, restart: bool = False) -> None:
        """Continue what the files hold, or begin with empty ones.

        Raises `BatchError` if they belong to another job or a job that runs, or if somebody else
        changed them, `OSError` if they cannot be written.
        """
        self._paths = outputs
        self.done = Numbers()
        self.failed = 0
        if not restart and not _size(outputs.progress):
            _refuse_to_overwrite(outputs.answers, outputs.failures)
        self._progress = outputs.progress.open("ab", buffering=0)
        self._answers = outputs.answers.open("ab", buffering=0)
        # The answers as well, since a hard link gives them another progress.
        for file in (self._progress, self._answers):
            _lock(file, outputs.answers)
        self._lengths = (0, 0, 0)
        self._checksum = 0
        if not restart:
            self._read(job)
        self._failures = outputs.failures.open("ab", buffering=0)
        self._cut_back()
        if self._lengths == (0, 0, 0):
            self._append(json.dumps(job).encode() + b"\n", b"", b"")

    def record(self, number: int, *, answer: bytes = b"", failure: bytes = b"") -> None:
        """Write what came of an entry, all of it or nothing; raises `OSError`."""
        _, answers, failures = self._lengths
        record = Record(number, answers + len(answer), failures + len(failure))
        self._append(record.line(self._checksum), answer, failure)
        self.done.add(number)
        self.failed += bool(failure)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in (self._progress, self._answers, self._failures):
            file.close()
        if not self.failed:
            self._paths.failures.unlink(missing_ok=True)

    def _read(self, job: Mapping[str, str]) -> None:
        answers, failures = Written(self._paths.answers), Written(self._paths.failures)
        with self._paths.progress.open("rb") as lines:
            header = lines.readline()
            if not header.endswith(b"\n") and not answers.size and not failures.size:
                return
            _check_job(self._paths.answers, self._header(header), job)
            self._lengths = (len(header), 0, 0)
            self._checksum = zlib.crc32(header)
            for number, line in enumerate(lines, 2):
                if not line.endswith(b"\n"):
                    return
                record = Record.parse(line, self._checksum)
                if not record or record.number in self.done:
                    raise self._damaged(number)
                # Both, since each may have been changed.
                if not all([answers.reaches(record.answers), failures.reaches(record.failures)]):
                    return
                self.done.add(record.number)
                self.failed += record.failures > self._lengths[2]
                self._lengths = (self._lengths[0] + len(line), record.answers, record.failures)
                self._checksum = zlib.crc32(line, self._checksum)

    def _header(self, line: bytes) -> dict[str, str]:
        try:
            header = json.loads(line)
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or not line.endswith(b"\n"):
            raise self._damaged(1)
        return header

    def _damaged(self, line: int) -> BatchError:
        return BatchError(
            f"{self._paths.progress}, line {line}, is damaged: what is done cannot be told. Name "
            "another file for the answers, or write it anew with --restart"
        )

    def _append(self, record: bytes, answer: bytes, failure: bytes) -> None:
        progress, answers, failures = self._lengths
        try:
            _write(self._answers, answer)
            _write(self._failures, failure)
            _write(self._progress, record)
        except BaseException:
            self._cut_back()
            raise
        self._checksum = zlib.crc32(record, self._checksum)
        self._lengths = progress + len(record), answers + len(answer), failures + len(failure)

    def _cut_back(self) -> None:
        files = (self._progress, self._answers, self._failures)
        for file, length in zip(files, self._lengths, strict=True):
            file.truncate(length)


@dataclass(frozen=True)
class Record:
    """An entry that is done, and the lengths of answers and failures with it."""

    number: int
    answers: int
    failures: int

    @classmethod
    def parse(cls, line: bytes, checksum: int) -> Record | None:
        """A line that follows lines of this checksum; None if it is damaged.

        Lines of earlier versions have no checksum.
        """
        match = _RECORD.fullmatch(line)
        if not match:
            return None
        record = cls(*map(int, match.groups()[:3]))
        return record if not match[4] or line == record.line(checksum) else None

    def line(self, checksum: int) -> bytes:
        """See `parse`."""
        text = b"%d %d %d" % (self.number, self.answers, self.failures)
        return b"%s %08x\n" % (text, zlib.crc32(text, checksum))


class Written:
    """What a job has written to a file, as far as the file still holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = _size(path)
        self._length = 0

    def reaches(self, length: int) -> bool:
        """Whether the file is as long as its next record says.

        A file that was cut off while it was written is not. Raises `BatchError` if somebody else
        has written in it.
        """
        # Every record ends with a line.
        reached = length <= self.size
        end = length if reached else self.size
        if length < self._length or (end > self._length and self._ends_line(end) != reached):
            raise BatchError(
                f"{self._path} is not as the job left it: put it back. To ask for requests that "
                "were mended in it, give it to a job with another --out; to begin this job anew, "
                "move it away and add --restart"
            )
        if reached:
            self._length = length
        return reached

    def _ends_line(self, length: int) -> bool:
        with self._path.open("rb") as file:
            file.seek(length - 1)
            return file.read(1) == b"\n"


class Numbers:
    """A set of numbers from 0 that is filled nearly in order; it takes no more room as it grows."""

    def __init__(self) -> None:
        self._first_missing = 0
        self._later: set[int] = set()

    def add(self, number: int) -> None:
        """Add a number that is not in it."""
        self._later.add(number)
        while self._first_missing in self._later:
            self._later.remove(self._first_missing)
            self._first_missing += 1

    def __contains__(self, number: int) -> bool:
        return number < self._first_missing or number in self._later

    def __len__(self) -> int:
        """How many there are."""
        return self._first_missing + len(self._later)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_to_overwrite(*paths: Path) -> None:
    for path in paths:
        if _size(path):
            raise BatchError(
                f"{path} exists and is of no job that could be continued; "
                "name another file, or write it anew with --restart"
            )


def _lock(file: IO[bytes], answers: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BatchError(f"another batch is writing {answers}; wait for it or end it") from None


def _check_job(answers: Path, begun: Mapping[str, str], job: Mapping[str, str]) -> None:
    names = [name for name in {**begun, **job} if begun.get(name) != job.get(name)]
    if names:
        raise BatchError(
            f"{answers} was begun with other {', '.join(names)}; name another file for the "
            "answers, or write it anew with --restart"
        )


def _write(file: IO[bytes], data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
