"""The command line: `python -m app --help`."""

from __future__ import annotations

import typer

from app.commands.batch import batch
from app.commands.doctor import doctor
from app.commands.evaluate import evaluate
from app.commands.plan import plan
from app.commands.rerank import rerank
from app.commands.serve import serve

cli = typer.Typer(
    name="python -m app",
    help="Rank documents by their relevance to a query.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cli.command()(serve)
cli.command()(rerank)
cli.command()(batch)
cli.command()(evaluate)
cli.command()(doctor)
# For start.sh alone.
cli.command(hidden=True)(plan)

if __name__ == "__main__":
    cli()
