"""The table of clients is made of the results that are kept beside the clients."""

from __future__ import annotations

import json

from toolkit.clients import table
from toolkit.clients.catalogue import CLIENTS
from toolkit.running import ROOT


def test_the_page_shows_the_results() -> None:
    results = json.loads(table.RESULTS.read_text(encoding="utf-8"))

    assert table.made(results) in table.PAGE.read_text(encoding="utf-8")


def test_a_client_has_a_script_or_a_reason() -> None:
    for client in CLIENTS:
        assert bool(client.script) != bool(client.reason), client
        assert not client.script or (ROOT / client.script).is_file(), client


def test_every_script_is_listed() -> None:
    scripts = {f"{file.parent.name}/{file.name}" for file in (ROOT / "clients").glob("*.py")}
    scripts |= {f"clients/{file.name}" for file in (ROOT / "clients").glob("*.mjs")}

    listed = {client.script for client in CLIENTS}
    assert scripts - {"clients/sample.py", "clients/sample.mjs"} <= listed
