"""`python -m app plan`: what start.sh is to run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from app.commands.exit_status import PROBLEM


def plan(
    folder: Annotated[Path, typer.Argument(help="empty folder for what start.sh runs")],
    smaller: Annotated[int, typer.Option(help="ask so many times less of the GPU")] = 0,
) -> None:
    """Check settings, machine and weights, and write what start.sh then runs into FOLDER.

    Downloads and prepares weights where that is wanted. RERANKER_FOLDER is where relative paths
    begin.

    \b
    Exit status:
      0  FOLDER has what to run
      1  something is wrong, all of it told
      2  the command line is wrong
    """
    # Imported here, so that the other commands start without.
    from app.settings import Settings, SettingsError
    from app.start import run_folder, weights
    from app.start.exposure import OPEN, is_open
    from app.start.problems import problems
    from models.ending import end_on_term
    from models.facts import gather
    from models.plan import plan as decide

    end_on_term()
    try:
        settings = Settings.load()
    except SettingsError as error:
        _end(error.problems)
    # The ports of a smaller plan are those that the one before it had.
    found = [] if smaller else list(problems(settings))
    if found:
        _end(found)
    if not smaller and is_open(settings):
        print(f"start.sh: {OPEN}", file=sys.stderr)
    try:
        gguf = weights.fetch(settings)
    except weights.WeightsError as error:
        _end([str(error)])
    facts = gather(settings, gguf)
    decided = None if settings.llama_server_url else decide(settings, facts, smaller)
    here = Path(os.environ.get("RERANKER_FOLDER") or Path.cwd())
    run_folder.write(folder, settings, facts, decided, here)


def _end(problems: list[str]) -> NoReturn:
    for problem in problems:
        print(f"start.sh: {problem}", file=sys.stderr)
    raise typer.Exit(PROBLEM)
