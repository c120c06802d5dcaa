"""HEAD and OPTIONS, which no route names."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_ALL = "GET, HEAD, OPTIONS, POST"


class Methods:
    """Middleware that answers HEAD as GET, and `OPTIONS *`, by which proxies ask who is there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and scope["path"] == "*":
            await Response(status_code=204, headers={"Allow": _ALL})(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server, which knows what was asked, leaves the body out.
        get = dict(scope, method="GET")
        try:
            await self._app(get, receive, send)
        finally:
            # What the log and the metrics want to know.
            scope.update(get, method="HEAD")


def allowed(methods: str) -> str:
    """The header `Allow` of a path whose routes take `methods`, comma separated."""
    names = set(methods.split(", ")) | {"OPTIONS"}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))
