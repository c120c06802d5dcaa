"""`python -m app doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.text import Text

from app.commands.exit_status import OK, PROBLEM

_STYLES = {"ok": "green", "skipped": "dim", "problem": "bold red"}


def doctor() -> None:
    """Check what the service needs, and what it answers if it runs.

    Reads the same settings as start.sh. One line tells how each thing is: the ports, the weights,
    llama-server, the GPU, the memory for the context, and the scores of a running service against
    the published ones. A line below a problem says what to do.

    \b
    Examples:
      python -m app doctor
      RERANKER_QUANT=Q4_K_M LLAMA_ARG_CTX_SIZE=32768 python -m app doctor

    \b
    Exit status:
      0  no problem
      1  a problem was found
      2  the command line is wrong
    """
    # Imported here, so that the other commands start without.
    from app.doctor.examine import examine

    console = Console()
    problems = 0
    for finding in examine():
        state = Text(f"{finding.state:8}", _STYLES[finding.state])
        line = Text.assemble(state, f"{finding.subject}: {finding.detail}")
        console.print(line, soft_wrap=True)
        if finding.advice:
            problems += 1
            console.print(Text(f"{'':8}→ {finding.advice}"), soft_wrap=True)
    raise typer.Exit(PROBLEM if problems else OK)
