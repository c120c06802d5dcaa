"""What a job has written, so that it goes on after any stop and writes nothing twice."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from app.batch.errors import BatchError


class Journal:
    """The files of a job: answers, failures, and `<answers>.progress`, which vouches for both.

    The first line of the progress file tells the job. Each other line is `entry answers failures`:
    an entry that is done, and the lengths in bytes of both files with it. What lies beyond the
    last lengths was being written when the job stopped, and is cut off. A context manager.
    """

    def __init__(self, answers: Path, job: Mapping[str, str], *, restart: bool = False) -> None:
        """Continue what the files hold, or begin with empty ones.

        Raises `BatchError` if they belong to another job or a job that runs, `OSError` if they
        cannot be written.
        """
        self.failures_path = answers.with_name(f"{answers.name}.failed.jsonl")
        progress_path = answers.with_name(f"{answers.name}.progress")
        self.done = Numbers()
        self.failed = 0
        if not restart and not _size(progress_path):
            _refuse_to_overwrite(answers, self.failures_path)
        self._progress = progress_path.open("ab", buffering=0)
        _lock(self._progress, answers)
        self._lengths = (0, 0, 0)
        if not restart:
            self._read(progress_path, answers, job)
        self._answers = answers.open("ab", buffering=0)
        self._failures = self.failures_path.open("ab", buffering=0)
        self._cut_back()
        if self._lengths == (0, 0, 0):
            self._append(json.dumps(job).encode() + b"\n", b"", b"")

    def record(self, number: int, *, answer: bytes = b"", failure: bytes = b"") -> None:
        """Write what came of an entry, all of it or nothing; raises `OSError`."""
        _, answers, failures = self._lengths
        line = f"{number} {answers + len(answer)} {failures + len(failure)}\n"
        self._append(line.encode(), answer, failure)
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
            self.failures_path.unlink(missing_ok=True)

    def _read(self, path: Path, answers_path: Path, job: Mapping[str, str]) -> None:
        sizes = _size(answers_path), _size(self.failures_path)
        with path.open("rb") as records:
            header = records.readline()
            if not header.endswith(b"\n"):
                return
            _check_job(answers_path, json.loads(header), job)
            self._lengths = (len(header), 0, 0)
            for record in records:
                if not record.endswith(b"\n"):
                    return
                number, answers, failures = map(int, record.split())
                if answers > sizes[0] or failures > sizes[1]:
                    return
                self.done.add(number)
                self.failed += failures > self._lengths[2]
                self._lengths = (self._lengths[0] + len(record), answers, failures)

    def _append(self, record: bytes, answer: bytes, failure: bytes) -> None:
        progress, answers, failures = self._lengths
        try:
            _write(self._answers, answer)
            _write(self._failures, failure)
            _write(self._progress, record)
        except BaseException:
            self._cut_back()
            raise
        self._lengths = progress + len(record), answers + len(answer), failures + len(failure)

    def _cut_back(self) -> None:
        files = (self._progress, self._answers, self._failures)
        for file, length in zip(files, self._lengths, strict=True):
            file.truncate(length)


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
