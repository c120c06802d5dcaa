"""The pages for a browser: one to try rankings, one that describes the API."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)

# Of the package only the files are used: Swagger UI.
_FILES = StaticFiles(
    directory=Path(__file__).parent / "page", packages=[("fastapi_swagger", "resources")]
)
_HEADERS = {
    # A copy is used only after asking whether it is still the same: upgrades show at once.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/")
@router.get("/page/{name}")
async def page(request: Request, name: str = "index.html") -> Response:
    """A file of the pages, or 304 where the browser's copy is the same."""
    response = await _FILES.get_response(name, request.scope)
    response.headers.update(_HEADERS)
    return response


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The description of the API."""
    return await page(request, "docs.html")
