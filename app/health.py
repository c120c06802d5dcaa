"""`python -m app.health`: whether the service of this machine is healthy, for a container's check.

It is asked where RERANKER_HOST and RERANKER_PORT say that it listens, never through a proxy.
Exit status: 0 if it is healthy, 1 and a line that says why if it is not.
"""

from __future__ import annotations

import http.client
import json
import sys
from urllib.parse import urlsplit

from app.settings import Settings, SettingsError

# Longer than the front itself waits for llama-server, shorter than what asks waits for this.
_SECONDS = 4.5


def main() -> int:
    """Ask once; the exit status."""
    try:
        url = Settings.load().url
    except SettingsError as error:
        print(error)
        return 1
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        print(f"no service answers at {url} (RERANKER_HOST, RERANKER_PORT): {error}")
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
