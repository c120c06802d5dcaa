"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` says what to do about a problem."""

    subject: str
    state: Literal["ok", "skipped", "problem"]
    detail: str
    advice: str = ""


def ok(subject: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, "ok", detail)


def skipped(subject: str, reason: str) -> Finding:
    """Could not be checked, which is no problem."""
    return Finding(subject, "skipped", reason)


def problem(subject: str, detail: str, advice: str) -> Finding:
    """The service does not start, or does not answer well, before `advice` is followed."""
    return Finding(subject, "problem", detail, advice)
