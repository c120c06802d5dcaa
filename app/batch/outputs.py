"""The files that a job writes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from app.batch.errors import BatchError


class Outputs:
    """The answers, and beside them what failed and how far the job is.

    Links are followed, so that a file has one progress under all its names.
    """

    def __init__(self, out: Path) -> None:
        self.answers = out.resolve()
        self.failures = self.answers.with_name(f"{self.answers.name}.failed.jsonl")
        self.progress = self.answers.with_name(f"{self.answers.name}.progress")

    def check(self, inputs: Iterable[Path]) -> None:
        """Raise `BatchError` if one cannot be written, or is an input or another of them."""
        paths = (self.answers, self.failures, self.progress)
        if not self.answers.parent.is_dir():
            raise BatchError(f"--out: there is no folder {self.answers.parent}")
        if self.answers.suffix.lower() == ".gz":
            raise BatchError(
                f"--out: answers are not packed, so {self.answers} is no name for them"
            )
        for path in paths:
            if path.exists() and not path.is_file():
                raise BatchError(f"{path} is no regular file, so nothing can be continued from it")
        for output, other in itertools.combinations(paths, 2):
            if _same(output, other):
                raise BatchError(f"{output} and {other} are one file; name another --out")
        for input, output in itertools.product(inputs, paths):
            if _same(input, output):
                raise BatchError(
                    f"--out would overwrite {input}, since {output.name} is written beside the "
                    "answers; name another --out"
                    if output != self.answers
                    else f"--out would overwrite {input}; name another --out"
                )


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()
