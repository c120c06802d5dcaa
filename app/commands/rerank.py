"""`python -m app rerank`: one query, from the shell."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.client import RequestError, Reranker, RerankerError, Result, SettingsError
from app.commands.documents import DocumentsError, collect
from app.commands.exit_status import INTERRUPTED, PROBLEM, UNREACHABLE, USAGE, fail

# Longer than the service itself lets a request take by default.
_TIMEOUT_SECONDS = 600.0
_BAR_COLUMNS = 10
_LEAST_COLUMNS_WITH_BAR = 50


def rerank(
    query: Annotated[str, typer.Argument(help="what to look for", metavar="QUERY")],
    documents: Annotated[
        list[str] | None,
        typer.Argument(help="texts to rank", metavar="DOCUMENTS", show_default=False),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="documents, one per line; lines of a .jsonl file are strings or objects with "
            '"text"; read as batch reads its inputs; may be repeated',
        ),
    ] = None,
    top_n: Annotated[
        int | None, typer.Option("--top-n", "-n", min=1, help="show only so many, the best")
    ] = None,
    instruction: Annotated[
        str | None, typer.Option("--instruction", "-i", help="what makes a document relevant")
    ] = None,
    split: Annotated[
        bool,
        typer.Option("--split", help="rank long documents by their best passage, and show that"),
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="service to ask; RERANKER_URL, or http://localhost:7998")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the results as the service answers them")
    ] = False,
) -> None:
    """Rank documents by their relevance to QUERY, best first.

    Documents are arguments, lines of files, or lines of standard input if there are neither. The
    key is that of RERANKER_API_KEY. A terminal shows a table; into a pipe go lines of rank, score
    and document, separated by tabs.

    \b
    Examples:
      python -m app rerank "when is lunch?" "soup at noon" "quality meeting at two"
      python -m app rerank "when is lunch?" --file notes.txt --top-n 5
      grep -rh lunch notes/ | python -m app rerank "when is lunch?" --json

    \b
    Exit status:
      0    ranked
      1    the service refused the request or failed
      2    the command line, a setting or a file is wrong
      3    the service cannot be reached
      130  interrupted
    """
    try:
        texts = collect(documents or [], files or [])
        client = Reranker(url, timeout=_TIMEOUT_SECONDS)
        client.check()
    except (DocumentsError, SettingsError) as error:
        fail(str(error), USAGE)
    try:
        with client, Console(stderr=True).status(f"ranking {len(texts):,} documents"):
            results = client.rerank(query, texts, top_n, instruction, split=split)
    except (RequestError, SettingsError) as error:
        fail(str(error), USAGE)
    except RerankerError as error:
        fail(str(error), UNREACHABLE if error.status is None else PROBLEM)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    if results.truncated:
        print(_cut(results.truncated), file=sys.stderr)
    if as_json:
        print(json.dumps([_told(result, results.truncated) for result in results]))
    else:
        _show(results, texts)


def _cut(truncated: Sequence[int]) -> str:
    documents = ", ".join(str(index + 1) for index in truncated)
    return f"longer than the model reads, so cut: {documents}; --split ranks them whole"


def _told(result: Result, truncated: Sequence[int]) -> dict[str, Any]:
    told = {name: value for name, value in asdict(result).items() if value is not None}
    return told | {"truncated": True} if result.index in truncated else told


def _show(results: Sequence[Result], documents: Sequence[str]) -> None:
    console = Console()
    ranked = [
        (rank, result.relevance_score, _one_line(result.passage or documents[result.index]))
        for rank, result in enumerate(results, start=1)
    ]
    if console.is_terminal:
        console.print(_table(ranked, with_bar=console.width >= _LEAST_COLUMNS_WITH_BAR))
    else:
        for rank, score, text in ranked:
            print(rank, f"{score:.4f}", text, sep="\t")


def _table(ranked: Sequence[tuple[int, float, str]], with_bar: bool) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    if with_bar:
        table.add_column("0 to 1", width=_BAR_COLUMNS)
    table.add_column("document", ratio=1, no_wrap=True, overflow="ellipsis")
    for rank, score, text in ranked:
        bar = [Bar(1, 0, max(score, 0))] if with_bar else []
        # Not a string, in which brackets would be markup.
        table.add_row(str(rank), f"{score:.4f}", *bar, Text(text))
    return table


def _one_line(text: str) -> str:
    """`text` without line breaks, and without control characters that a terminal would obey."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
