"""`python -m app serve`: the HTTP front."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    host: Annotated[
        str, typer.Option(envvar="RERANKER_HOST", help="address to listen on")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="RERANKER_PORT", help="port to listen on")] = 7998,
) -> None:
    """Run the HTTP front of a llama-server that runs already.

    start.sh runs both. The front finds llama-server at LLAMA_SERVER_URL; README.md lists its
    settings, all of them environment variables.

    \b
    Example:
      LLAMA_SERVER_URL=http://127.0.0.1:8081 python -m app serve --port 8000

    \b
    Exit status:
      0  ended by INT; TERM ends it by that signal, after the requests under way
      1  a setting is wrong, or the port is in use
      2  the command line is wrong
      3  llama-server or the projector cannot be used
    """
    # Imported here, so that the other commands start without.
    import uvicorn

    from app.connections import Protocol

    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=host,
        port=port,
        http=Protocol,
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
