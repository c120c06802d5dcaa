"""`python -m app serve`: the HTTP front."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from app.commands.exit_status import PROBLEM, UNREACHABLE, fail
from app.settings import Settings, SettingsError


def serve(
    host: Annotated[
        str | None, typer.Option(help="address to listen on; else RERANKER_HOST")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="port to listen on; else RERANKER_PORT")
    ] = None,
) -> None:
    """Run the HTTP front of a llama-server that runs already.

    start.sh runs both. The front finds llama-server at LLAMA_SERVER_URL; docs/settings.md lists its
    settings, all of them environment variables.

    \b
    Example:
      LLAMA_SERVER_URL=http://127.0.0.1:8081 python -m app serve --port 8000

    \b
    Exit status:
      0  ended by INT; TERM ends it by that signal, after the requests in the model, which have
         RERANKER_DRAIN_SECONDS, or at once if it comes again
      1  a setting is wrong, or the port is in use
      2  the command line is wrong
      3  llama-server or the projector cannot be used
    """
    try:
        settings = Settings.load()
    except SettingsError as error:
        fail(str(error), PROBLEM)
    # Imported here, so that the other commands start without.
    import uvicorn

    from app.connections import BACKLOG, Protocol
    from app.main import create_app
    from app.server import Server

    address = host or settings.host
    app = create_app()
    config = uvicorn.Config(
        app,
        # asyncio takes `::` for IPv6 alone, and no name for every address that there is.
        host="" if address == "::" else address,
        port=port or settings.port,
        # Else WEB_CONCURRENCY, which hosting platforms set, starts fronts that share the slots.
        workers=1,
        http=Protocol,
        backlog=BACKLOG,
        server_header=False,
        access_log=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )
    server = Server(config, app.state.drain, settings.drain_seconds)
    # INT is raised again when all is done.
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise typer.Exit(UNREACHABLE)
