"""The table of docs/settings.md, out of the rules: `python -m app.settings_page` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.settings import RULES, Settings

_HEAD = "| variable | default | meaning |\n| --- | --- | --- |\n"
_PAGE = Path(__file__).parents[1] / "docs/settings.md"


def updated(page: str) -> str:
    """`page` with its table made anew."""
    before, _, rest = page.partition(_HEAD)
    _, _, after = rest.partition("\n\n")
    return f"{before}{_HEAD}{''.join(_rows())}\n{after}"


def _rows() -> Iterator[str]:
    for field, variable, rule in RULES:
        if not rule.internal:
            default = rule.shown or _code(getattr(Settings, field))
            yield f"| `{variable}` |{default and f' {default}'} | {rule.meaning} |\n"


def _code(default: Any) -> str:
    if default is None or default in ("", ()):
        return ""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


if __name__ == "__main__":
    _PAGE.write_text(updated(_PAGE.read_text()))
