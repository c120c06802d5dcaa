"""`python -m app batch`: rerank the requests of a file."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import zlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from app.batch.errors import BatchError, ServiceUnavailable
from app.batch.inputs import Inputs
from app.batch.job import Job
from app.batch.journal import Journal
from app.batch.jsonl import JSONLines, to_jsonl
from app.batch.outputs import Outputs
from app.batch.source import Source
from app.batch.trec import Run, to_run
from app.client import AsyncReranker, RerankerError
from app.commands.exit_status import INTERRUPTED, PROBLEM, UNREACHABLE, USAGE, fail
from app.commands.progress import progress_bar


class Format(str, Enum):
    """Of answers."""

    jsonl = "jsonl"
    trec = "trec"


_SUFFIXES = {".jsonl": Format.jsonl, ".run": Format.trec, ".trec": Format.trec}
_ENCODERS = {Format.jsonl: to_jsonl, Format.trec: to_run}
# The service gives up on a request sooner, and says why.
_TIMEOUT_SECONDS = 600.0
# Also a full disk, and packed files that are cut off or broken.
_TO_PUT_RIGHT = (BatchError, RerankerError, OSError, sqlite3.Error, EOFError, zlib.error)
_CONTINUES = "The same command continues."
_INPUT: dict[str, Any] = {"exists": True, "dir_okay": False}


def batch(
    out: Annotated[Path, typer.Option(help="File for the answers.", dir_okay=False)],
    requests: Annotated[
        Path | None,
        typer.Argument(
            help='JSONL, each line {"id", "query", "documents", "top_n", "instruction"}, of which '
            'query and documents are needed; a text may also be {"text": …}.',
            **_INPUT,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="TREC run to rerank, instead of requests.", **_INPUT)
    ] = None,
    collection: Annotated[
        Path | None,
        typer.Option(help="Documents of the run: docid<TAB>text, or JSONL.", **_INPUT),
    ] = None,
    topics: Annotated[
        Path | None,
        typer.Option(help="Queries of the run: qid<TAB>query, JSONL, or TREC's <top>.", **_INPUT),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(help="Of the answers; else their name tells: .jsonl, .run or .trec."),
    ] = None,
    in_flight: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 4,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a service that does not answer.")
    ] = 300,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew and overwrite the answers.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="The service; else RERANKER_URL.", show_default=False)
    ] = None,
) -> None:
    """Rerank the requests of a file, or the queries of a TREC run.

    \b
    python -m app batch requests.jsonl --out answers.jsonl
    python -m app batch --run bm25.run --collection collection.tsv \\
        --topics topics.tsv --out reranked.run

    Answers are written as they come, so their order may differ from that of
    the requests. Each carries its request's id, or the number of its line.
    Inputs may be packed by gzip. They are UTF-8, or UTF-16 with a byte order
    mark.

    The same command continues a job that was stopped in any way, from
    OUT.progress. Requests that cannot be answered go to OUT.failed.jsonl
    with their line and the error; mended, they can be the requests of a job
    with another OUT.

    Exit status: 0 all answered, 1 some requests failed, 2 usage or something
    else to put right first, 3 the service does not answer, 130 interrupted.
    """
    files = _files(requests, run, collection, topics)
    format = format or _SUFFIXES.get(out.suffix.lower())
    if not format:
        raise typer.BadParameter(f"--format is needed: {out.name} does not tell it")
    outputs = Outputs(out)
    try:
        outputs.check(files.values())
        client = AsyncReranker(url, timeout=_TIMEOUT_SECONDS, low_priority=True)
        client.check()
        with progress_bar() as progress:
            reading = progress.add_task("reading", total=None)
            inputs = Inputs(files)
            source = _source(files)
            inputs.check()
            progress.remove_task(reading)
            identity = inputs.digests | {"format": format.value}
            with Journal(outputs, identity, restart=restart) as journal:
                job = Job(source, inputs, client, _ENCODERS[format], journal, progress, patience)
                before, start = len(journal.done), time.monotonic()
                asyncio.run(job.run(in_flight))
    except ServiceUnavailable as error:
        fail(f"{error}\nNo answer for {patience:g} s. {_CONTINUES}", UNREACHABLE)
    except _TO_PUT_RIGHT as error:
        fail(str(error), USAGE)
    except KeyboardInterrupt:
        fail(f"interrupted. {_CONTINUES}", INTERRUPTED)
    total = f"{len(journal.done):,} requests done, {journal.failed:,} of them failed."
    now, seconds = len(journal.done) - before, time.monotonic() - start
    if now:
        typer.echo(
            f"{total} Now {now:,} requests with {job.documents:,} documents in {seconds:.1f} s: "
            f"{now / seconds:.1f} requests and {job.documents / seconds:.1f} documents per second."
        )
    else:
        typer.echo(f"Nothing is left to do: {total}")
    if journal.failed:
        typer.echo(
            f"Failed: {outputs.failures}\nMended, its lines are requests for another --out; "
            "--restart asks for all requests again."
        )
        raise typer.Exit(PROBLEM)


def _files(
    requests: Path | None, run: Path | None, collection: Path | None, topics: Path | None
) -> dict[str, Path]:
    given = {"requests": requests, "run": run, "collection": collection, "topics": topics}
    files = {name: path for name, path in given.items() if path}
    if set(files) not in ({"requests"}, {"run", "collection", "topics"}):
        raise typer.BadParameter("give either requests, or --run with --collection and --topics")
    for path in files.values():
        if not path.is_file():
            raise typer.BadParameter(f"{path} is no regular file, so no job could be continued")
    return files


def _source(files: Mapping[str, Path]) -> Source:
    return JSONLines(files["requests"]) if "requests" in files else Run(**files)
