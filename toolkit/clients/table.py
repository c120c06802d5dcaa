"""The results, and the table of `docs/clients.md` that is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from toolkit.clients.catalogue import CLIENTS, Client
from toolkit.running import ROOT

RESULTS = ROOT / "clients/results.json"
PAGE = ROOT / "docs/clients.md"
_BEGIN, _END = "<!-- make clients -->\n", "<!-- end of make clients -->\n"
_HEAD = """\
| client | to enter | run | with the service | without it |
| --- | --- | --- | --- | --- |
"""


def write(outcomes: Mapping[Client, tuple[str, str]]) -> None:
    """Keep `outcomes`, with the service and without, beside older ones, and write the table."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    new = {_key(client): {"up": up, "down": down} for client, (up, down) in outcomes.items()}
    listed = [_key(client) for client in CLIENTS]
    kept = {key: (known | new)[key] for key in listed if key in known | new}
    RESULTS.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    PAGE.write_text(before + _BEGIN + made(kept) + _END + after, encoding="utf-8")


def made(results: Mapping[str, Mapping[str, str]]) -> str:
    """The table, in Markdown; a client that was not run tells why."""
    return _HEAD + "".join(_row(client, results.get(_key(client))) for client in CLIENTS)


def _row(client: Client, result: Mapping[str, str] | None) -> str:
    if not client.script:
        return f"| {client.name} | {client.url} | not run: {client.reason} | | |\n"
    what = f"[`{client.packages[0]}`](../{client.script})"
    told = (result["up"], result["down"]) if result else ("not run yet", "")
    return f"| {client.name} | {client.url} | {what} | {told[0]} | {told[1]} |\n"


def _key(client: Client) -> str:
    return " ".join((*client.packages, client.script, *client.arguments))
