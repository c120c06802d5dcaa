"""API keys."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.dialects.dialect import Dialect, told_to
from app.errors import Problem
from models.rerank import TENANT

# Health, the pages where a key can be typed, and what one of them describes.
_WITHOUT_KEY = re.compile(r"/|/health|/\.well-known/(live|ready)|/page/.*|/docs|/openapi\.json")
# Of clients that send no `Authorization`.
_HEADERS = (b"api-key", b"x-api-key")
_DETAIL = "send a key of RERANKER_API_KEY as the header `Authorization: Bearer <key>`"


class RequireKey:
    """Middleware that lets only requests with one of `keys` through.

    Each key is a tenant of its own.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], dialects: Sequence[Dialect]) -> None:
        self._app = app
        self._refusal = told_to(dialects, Problem(401, _DETAIL))
        self._keys = [(form, tenant) for tenant, key in enumerate(keys) for form in _forms(key)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or _is_open(scope) or self._enters(scope):
            await self._app(scope, receive, send)
            return
        # To clients of every dialect: the key is refused before the body tells theirs.
        refusal = JSONResponse(self._refusal, 401, {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _enters(self, scope: Scope) -> bool:
        # Every key is compared, so that the time does not tell which one is close.
        tenants = [
            tenant
            for given in _given(scope)
            for key, tenant in self._keys
            if secrets.compare_digest(given, key)
        ]
        if not tenants:
            return False
        TENANT.set(tenants[0])
        return True


def _given(scope: Scope) -> Iterator[bytes]:
    """What the headers say is a key."""
    for name, value in scope["headers"]:
        scheme, _, token = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"bearer":
            # Only what HTTP calls white space: other bytes may be part of a character.
            yield token.strip(b" \t")
        elif name in _HEADERS:
            yield value.strip(b" \t")


def _forms(key: str) -> set[bytes]:
    """The bytes that clients send for a key: UTF-8, or, as browsers do, Latin-1."""
    forms = {key.encode()}
    with suppress(UnicodeEncodeError):
        forms.add(key.encode("latin-1"))
    return forms


def _is_open(scope: Scope) -> bool:
    # As the routes do: what is open below the root path must not be taken for something else.
    return _WITHOUT_KEY.fullmatch(scope["path"].removeprefix(scope["root_path"])) is not None


def describe_keys(schema: dict[str, Any]) -> None:
    """Add to the API's description that requests carry a key."""
    told = {"description": "A key of RERANKER_API_KEY."}
    schemes: dict[str, dict[str, str]] = {"key": {"type": "http", "scheme": "bearer"} | told}
    for name in ("Api-Key", "X-API-Key"):
        schemes[name] = {"type": "apiKey", "in": "header", "name": name} | told
    schema["components"]["securitySchemes"] = schemes
    schema["security"] = [{name: []} for name in schemes]
