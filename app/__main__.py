"""The command line: `python -m app --help`, or `jina-reranker --help` where it is installed."""

from __future__ import annotations

from typing import Annotated

import typer

from app import VERSION
from app.commands.batch import batch
from app.commands.doctor import doctor
from app.commands.evaluate import evaluate
from app.commands.plan import plan
from app.commands.rerank import rerank
from app.commands.serve import serve

cli = typer.Typer(
    no_args_is_help=True,
    # Shells complete the words after a command's name, not those after `python -m app`.
    add_completion=__name__ != "__main__",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jina-reranker {VERSION}")
        raise typer.Exit


@cli.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", help="show it and exit", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Rank documents by their relevance to a query."""


cli.command()(serve)
cli.command()(rerank)
cli.command()(batch)
cli.command()(evaluate)
cli.command()(doctor)
# For start.sh alone.
cli.command(hidden=True)(plan)

if __name__ == "__main__":
    cli()
