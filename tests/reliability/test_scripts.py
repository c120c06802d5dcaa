"""Small versions of the scripts; they raise `typer.Exit` where a check fails."""

from __future__ import annotations

import json
from pathlib import Path

from tests.reliability import faults, load, soak
from tests.reliability.document import DOCUMENT, document


def test_load(tmp_path: Path) -> None:
    load.main(requests=60, questions=12, out=tmp_path)

    assert json.loads((tmp_path / "load.json").read_text())["figures"]["outcomes"]["right"] >= 60


def test_soak(tmp_path: Path) -> None:
    soak.main(minutes=0.05, out=tmp_path)

    assert "front: MB/h" in json.loads((tmp_path / "soak.json").read_text())["figures"]


def test_faults(tmp_path: Path) -> None:
    faults.main(kills=1, hangs=1, clients=4, timeout_seconds=5, out=tmp_path)

    outcomes = json.loads((tmp_path / "faults.json").read_text())["figures"]["outcomes"]
    assert outcomes.keys() == {"right", "503", "504"}


def test_page_shows_the_results() -> None:
    assert DOCUMENT.read_text() == document()
