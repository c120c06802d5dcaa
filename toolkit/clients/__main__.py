"""Run the clients and write what came of it: `python -m toolkit.clients [WORD …]`.

With words, only those whose name or script holds one; what is known of the others stays.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from toolkit.clients import table
from toolkit.clients.catalogue import CLIENTS, Client
from toolkit.clients.runs import Outcome, expected, run
from toolkit.evaluation import demo
from toolkit.running import free_port

_AT_ONCE = 4


def main(words: list[str]) -> None:
    """Run, with the service and then without, and write results and table."""
    chosen = [
        client
        for client in CLIENTS
        if client.script
        and (not words or any(word in f"{client.name} {client.script}" for word in words))
    ]
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as service:
        order = expected(service)
        up = _run(chosen, service.url, order)
    # Nobody listens there.
    down = _run(chosen, f"http://127.0.0.1:{free_port()}", order)
    table.write(dict(zip(chosen, zip(up, down, strict=True), strict=True)))


def _run(clients: list[Client], url: str, order: list[str]) -> list[Outcome]:
    def told(client: Client) -> Outcome:
        outcome = run(client, url, order)
        print(f"{client.name} ({client.script}): {outcome}", flush=True)
        return outcome

    with ThreadPoolExecutor(_AT_ONCE) as workers:
        return list(workers.map(told, clients))


if __name__ == "__main__":
    main(sys.argv[1:])
