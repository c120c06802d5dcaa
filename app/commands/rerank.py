"""`python -m app rerank`: one query, from the shell."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.client import RequestError, Reranker, RerankerError, Results, SettingsError
from app.commands.connection import check_connection
from app.commands.documents import DocumentsError, Table, collect
from app.commands.exit_status import INTERRUPTED, PROBLEM, UNREACHABLE, USAGE, fail
from app.commands.ranked import Ranked, show, to_json
from app.commands.rounds import Limits, rank_in_rounds

# Longer than the service itself lets a request take by default.
_TIMEOUT_SECONDS = 600.0
_ROUNDS = "--rounds ranks them in parts, and the best of each part (--top-n) together."


def rerank(
    query: Annotated[
        str | None,
        typer.Argument(help="what to look for", metavar="QUERY", show_default=False),
    ] = None,
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
            '"text", the first row of .csv and .tsv names columns; - is standard input; may be '
            "repeated",
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="files and standard input are CSV, whatever their names")
    ] = False,
    as_tsv: Annotated[bool, typer.Option("--tsv", help="the same for TSV, without quotes")] = False,
    column: Annotated[
        str | None, typer.Option(help="of CSV and TSV, the one of the documents; else text, …")
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
    rounds: Annotated[
        bool,
        typer.Option(
            "--rounds",
            help="rank more documents than one request takes: the best of each part (--top-n), "
            "then these together",
        ),
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="service to ask; RERANKER_URL, or http://localhost:7998")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print results as JSON, each with its text and source")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="only test the connection: address, key and a ranking")
    ] = False,
) -> None:
    """Rank documents by their relevance to QUERY, best first.

    Documents are arguments, lines of files, or lines of standard input if there are neither. The
    key is that of RERANKER_API_KEY. A terminal shows a table; into a pipe go lines of rank, score,
    source and document, separated by tabs. The source is FILE:LINE; of lines that grep -n found,
    that of their file, which is not ranked as a part of the text.

    \b
    Examples:
      python -m app rerank "when is lunch?" "soup at noon" "quality meeting at two"
      python -m app rerank "when is lunch?" --file notes.txt --top-n 5
      python -m app rerank --url http://192.168.0.7:7998 --check
      grep -rn lunch notes/ | python -m app rerank "when is lunch?" --json
      curl -s https://example.com/faq.csv | python -m app rerank "refund" -f - --csv --column answer

    \b
    Exit status:
      0    ranked
      1    the service refused the request or failed
      2    the command line, a setting or a file is wrong
      3    the service cannot be reached
      130  interrupted
    """
    if check:
        if query or documents or files:
            raise typer.BadParameter("--check ranks documents of its own")
        check_connection(url)
        return
    if query is None:
        raise typer.BadParameter("QUERY is missing")
    if as_csv and as_tsv:
        raise typer.BadParameter("--csv and --tsv exclude each other")
    table: Table | None = "csv" if as_csv else "tsv" if as_tsv else None
    try:
        found = collect(documents or [], files or [], table, column)
        client = Reranker(url, timeout=_TIMEOUT_SECONDS)
        client.check()
    except (DocumentsError, SettingsError) as error:
        fail(str(error), USAGE)
    texts = [document.text for document in found]
    try:
        with client, Console(stderr=True).status(f"ranking {len(texts):,} documents"):

            def ask(texts: Sequence[str], top_n: int | None) -> Results:
                return client.rerank(query, texts, top_n, instruction, split=split)

            limits = Limits.told(client.described()) if rounds else None
            results = rank_in_rounds(ask, texts, top_n, limits) if limits else ask(texts, top_n)
    except (RequestError, SettingsError) as error:
        fail(str(error), USAGE)
    except RerankerError as error:
        advice = "" if rounds or error.status != 413 else f"\n{_ROUNDS}"
        fail(f"{error}{advice}", UNREACHABLE if error.status is None else PROBLEM)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    if results.truncated:
        print(_cut(results.truncated), file=sys.stderr)
    ranked = [
        Ranked(rank, result, found[result.index], result.index in results.truncated)
        for rank, result in enumerate(results, start=1)
    ]
    if as_json:
        print(to_json(ranked))
    else:
        show(ranked)


def _cut(truncated: Sequence[int]) -> str:
    documents = ", ".join(str(index + 1) for index in truncated)
    return f"longer than the model reads, so cut: {documents}; --split ranks them whole"
