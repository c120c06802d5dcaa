"""`python -m app.health`: whether the service of this machine is healthy, for a container's check.

It is asked where RERANKER_HOST and RERANKER_PORT say that it listens, never through a proxy.
Exit status: 0 if it is healthy, 1 and a line that says why if it is not.
"""

from __future__ import annotations

import http.client
import json
import os
import sys

# Longer than the front itself waits for llama-server, shorter than what asks waits for this.
_SECONDS = 4.5


def main() -> int:
    """Ask once; the exit status."""
    # An address that means all of them is connected to as loopback, and :: serves IPv4 too, which
    # a container has whether it has IPv6 or not.
    host = os.environ.get("RERANKER_HOST") or "127.0.0.1"
    port = os.environ.get("RERANKER_PORT") or "7998"
    try:
        address = "127.0.0.1" if host == "::" else host
        connection = http.client.HTTPConnection(address, int(port), timeout=_SECONDS)
        connection.request("GET", "/health")
        response = connection.getresponse()
        answer = response.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"no service answers at RERANKER_HOST={host} RERANKER_PORT={port}: {error}")
        return 1
    print(_detail(answer))
    return 0 if response.status == http.HTTPStatus.OK else 1


def _detail(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
