"""How a command ends when it is told to."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def end_on_term() -> None:
    """Let TERM end the process with status 143, after it has cleared up.

    As the first process of a container it would not end at all otherwise.
    """
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)
