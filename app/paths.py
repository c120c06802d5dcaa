"""Paths, however they are written and whatever a proxy did to them."""

from __future__ import annotations

import re

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# Base URLs that hold more than their client needs: a version, or the path of an endpoint.
_BEFORE_A_VERSION = re.compile(r"^(?:/v\d|/rerank(?:ing)?)+(?=/v\d/)")
_BEFORE_RERANK = re.compile(r"(?<=/rerank)/rerank$")
# And those that hold all, of clients that ask for the base URL alone.
_BASES = ("/", "/v1")
_RERANK = "/v1/rerank"


class Paths:
    """Middleware that gives each path one form, below `root_path`.

    Slashes that are doubled or at the end mean nothing, and a proxy may take the root path away or
    leave it. No request is redirected, which would turn a POST into a GET, but that for the root
    path alone: the links of the page are relative to the slash at its end.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root = scope["root_path"] = self._root_path
        path = re.sub("/+", "/", scope["path"])
        if path == root and scope["method"] == "GET":
            await RedirectResponse(f"{root}/")(scope, receive, send)
            return
        if path.startswith(f"{root}/"):
            path = path.removeprefix(root)
        scope["path"] = root + _meant(path.rstrip("/") or "/", scope["method"])
        await self._app(scope, receive, send)


def _meant(path: str, method: str) -> str:
    """A path as it is served, whatever base URL its client was given."""
    if method == "POST" and path in _BASES:
        return _RERANK
    return _BEFORE_RERANK.sub("", _BEFORE_A_VERSION.sub("", path))
