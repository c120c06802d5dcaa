"""Whether others can use the service without a key."""

from __future__ import annotations

import ipaddress

from app.settings import Settings

OPEN = (
    "no RERANKER_API_KEY is set: whoever reaches this machine's port can ask for rankings. Set a "
    "key, or RERANKER_HOST=127.0.0.1"
)


def is_open(settings: Settings) -> bool:
    """Whether it listens beyond this machine and asks for no key."""
    return not settings.api_keys and not _is_loopback(settings.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
