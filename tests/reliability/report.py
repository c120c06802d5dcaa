"""What a script found: a table, a JSON file and an exit status."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def report(name: str, figures: Mapping[str, Any], checks: Mapping[str, bool], out: Path) -> None:
    """Print `figures` and `checks`, write them to `out`/`name`.json; exit 1 if a check fails."""
    table = Table("figure", "value", title=name)
    for figure, value in figures.items():
        table.add_row(figure, json.dumps(value))
    for check, passed in checks.items():
        table.add_row(check, "yes" if passed else "[bold red]NO")
    Console().print(table)
    machine = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }
    out.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "figures": figures, "checks": checks}
    (out / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    if not all(checks.values()):
        raise typer.Exit(1)
