"""`python -m app doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from app.commands.exit_status import OK, PROBLEM

if TYPE_CHECKING:
    from app.doctor.finding import Finding

_STYLES = {"ok": "green", "skipped": "dim", "problem": "bold red"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="print what was found as JSON, at the end")
    ] = False,
) -> None:
    """Check what the service needs, and what it answers if it runs.

    Reads the same settings as start.sh. One line tells how each thing is: the ports, the weights,
    llama-server, the GPU, the memory for the context, and the scores of a running service against
    the published ones. A line below a problem says what to do. If RERANKER_URL names another
    service than the one at RERANKER_PORT, that one is asked, and nothing of this machine checked.

    \b
    Examples:
      python -m app doctor
      python -m app doctor --json
      RERANKER_URL=http://192.168.0.7:7998 python -m app doctor
      RERANKER_QUANT=Q4_K_M LLAMA_ARG_CTX_SIZE=32768 python -m app doctor

    \b
    Exit status:
      0  no problem
      1  a problem was found
      2  the command line is wrong
    """
    # Imported here, so that the other commands start without.
    from app.doctor.examine import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    raise typer.Exit(PROBLEM if any(each.state == "problem" for each in findings) else OK)


def _show(finding: Finding) -> None:
    console = Console()
    state = Text(f"{finding.state:8}", _STYLES[finding.state])
    line = Text.assemble(state, f"{finding.subject}: {finding.detail}")
    console.print(line, soft_wrap=True)
    if finding.advice:
        console.print(Text(f"{'':8}→ {finding.advice}"), soft_wrap=True)
