"""Which server is asked, by which address and with which key."""

from __future__ import annotations

import re

import httpx

from .errors import SettingsError

# As other tools want the address: with the version, or up to the end of the path.
_ENDPOINT = re.compile(r"(/+v[12])?(/+rerank(ing)?)?/*$")
_MOST_PORTS = 65_535


class Server:
    """The address of a server: its root, whatever path of its API was named."""

    def __init__(self, address: str, name: str) -> None:
        """Parse what the setting `name` holds; raises `SettingsError`."""
        url = _parse(address, name)
        self.host = url.host
        self.scheme = url.scheme
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self.auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        self._prefix = _ENDPOINT.sub("", url.path)
        self._url = url.copy_with(userinfo=b"", fragment=None)

    def endpoint(self, path: str) -> httpx.URL:
        """The URL of a path of the API, with the query of the address."""
        return self._url.copy_with(path=self._prefix + path)

    def __str__(self) -> str:
        """The root, without what may be secret: user, password and query."""
        return str(self._url.copy_with(path=self._prefix, query=None))


def _parse(address: str, name: str) -> httpx.URL:
    text = address.strip() if isinstance(address, str) else ""
    shown = repr(_without_secrets(text) if text else address)
    if not re.match(r"https?://", text, re.IGNORECASE):
        told = "it begins with neither http:// nor https://"
        if text and "://" not in text:
            told = f"did you mean http://{_without_secrets(text)}?"
        raise SettingsError(f"{name} {shown} is no address; {told}")
    try:
        url = httpx.URL(text)
    except Exception as error:
        raise SettingsError(f"{name} {shown} is no address: {error}") from None
    if not url.host or (url.port or 0) > _MOST_PORTS:
        raise SettingsError(f"{name} {shown} is no address: it names no host, or no port there is")
    return url


def _without_secrets(address: str) -> str:
    return re.sub(r"^(\w+://)?[^/?#]*@", r"\1", address).partition("?")[0]


def bearer(keys: str, name: str) -> bytes | None:
    """The header's value for the first of `keys`, which commas separate, or None without a key.

    Raises `SettingsError`, whose message does not tell the key.
    """
    if not isinstance(keys, str):
        raise SettingsError(f"{name} is no text")
    key = next((key.strip() for key in keys.split(",") if key.strip()), "")
    try:
        # As bytes that are no UTF-8 come from the environment.
        sent = key.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        sent = b"\0"
    if re.search(rb"[\x00-\x1f\x7f]", sent):
        raise SettingsError(f"{name} holds a control character within a key; type it anew")
    return b"Bearer " + sent if sent else None
