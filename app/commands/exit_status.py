"""How a command ends."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

OK = 0
PROBLEM = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130


def fail(message: str, status: int) -> NoReturn:
    """Print `message` to standard error and end the command with `status`."""
    print(f"Error: {message}", file=sys.stderr)
    raise typer.Exit(status)
