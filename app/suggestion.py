"""What somebody who named a file wrongly may have meant."""

from __future__ import annotations

import difflib
from pathlib import Path


def did_you_mean(path: Path) -> str:
    """Names the file beside `path` whose name is most like it; empty if there is none."""
    names = [sibling.name for sibling in path.parent.glob("*")]
    similar = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.with_name(similar[0])}?" if similar else ""
