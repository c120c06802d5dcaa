"""Which proxy stands before a server."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import socket
import ssl
from urllib.request import getproxies, proxy_bypass

import httpx

_log = logging.getLogger("reranker")


def is_local(host: str) -> bool:
    """Whether `host` is this machine, in any spelling that needs no look-up."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    with contextlib.suppress(OSError, ValueError):
        # Also 127.1 and 2130706433, as resolvers read them.
        name = socket.inet_ntoa(socket.inet_aton(name))
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def proxy_for(scheme: str, host: str) -> httpx.Proxy | None:
    """The environment's proxy for a host; None for this machine, and where the setting is wrong."""
    if is_local(host):
        return None
    try:
        proxies = getproxies()
        proxy = proxies.get(scheme) or proxies.get("all")
        if not proxy or proxy_bypass(host):
            return None
        return _parse(proxy.strip())
    except Exception as error:
        # The value may hold a password.
        kind = type(error).__name__
        _log.warning("the proxy that the environment names is no address (%s): ignored", kind)
        return None


def _parse(proxy: str) -> httpx.Proxy:
    parsed = httpx.Proxy(proxy if re.match(r"\w+://", proxy) else f"http://{proxy}")
    if not parsed.url.host:
        raise ValueError("no host")
    # Fails where its protocol is not installed.
    httpx.AsyncHTTPTransport(proxy=parsed, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return parsed
