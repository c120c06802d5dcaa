"""`python -m app evaluate`: does reranking help on this data, and which service most?"""

from __future__ import annotations

import os
import re
import sqlite3
import zlib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from app.batch.errors import BatchError, ServiceUnavailable
from app.client import Reranker, RerankerError
from app.commands.exit_status import INTERRUPTED, PROBLEM, UNREACHABLE, USAGE, fail
from app.commands.progress import progress_bar
from app.evaluate.answers import Answers, Asking, Service
from app.evaluate.dataset import Dataset
from app.evaluate.jsonl import read_jsonl
from app.evaluate.trec import read_trec

if TYPE_CHECKING:
    from app.evaluate.calibration import Fitted, Served
    from app.evaluate.report import Report

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TO_PUT_RIGHT = (BatchError, RerankerError, OSError, sqlite3.Error, EOFError, zlib.error)
_PACKAGES = ("bm25s", "ir_measures", "jinja2", "scipy")
_CONTINUES = "The same command continues."
_FILE: dict[str, Any] = {"exists": True, "dir_okay": False}


def evaluate(
    data: Annotated[
        Path | None,
        typer.Argument(
            help='BEIR folder, or JSONL with {"query", "documents", "relevant"} a line; relevant '
            "is a list of indices, or a grade for each document.",
            exists=True,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="TREC run: the candidates, instead of BM25's.", **_FILE)
    ] = None,
    qrels: Annotated[Path | None, typer.Option(help="TREC judgements of the run.", **_FILE)] = None,
    topics: Annotated[
        Path | None, typer.Option(help="Queries of the run, as `batch` takes them.", **_FILE)
    ] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Documents of the run, as `batch` takes them.", **_FILE)
    ] = None,
    split: Annotated[str, typer.Option(help="Of a BEIR folder: qrels/SPLIT.tsv.")] = "test",
    depth: Annotated[int, typer.Option(min=1, help="Candidates of a query.")] = 100,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Only so many queries, the first ones.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The service; else RERANKER_URL.", show_default=False)
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="Another service; may be given more than once."),
    ] = None,
    agree: Annotated[
        bool, typer.Option("--agree", help="Compare scores and orders; needs no judgements.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Fit probabilities to the scores of the first service."),
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="File of --calibrate; else weights/MODEL/calibration.json.", dir_okay=False
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for answers and reports.", file_okay=False)
    ] = Path("evaluation"),
    in_flight: Annotated[
        int, typer.Option(min=1, help="Requests at a time; latency is that under this load.")
    ] = 1,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a service that does not answer.")
    ] = 300,
    restart: Annotated[
        bool, typer.Option("--restart", help="Ask anew instead of going on.")
    ] = False,
) -> None:
    """Measure how well services rerank your data, beside no reranking.

    \b
    python -m app evaluate scifact/
    python -m app evaluate mine.jsonl --against q4=http://localhost:7999 --agree
    python -m app evaluate mine.jsonl --calibrate
    python -m app evaluate --run bm25.run --collection collection.tsv \\
        --topics topics.tsv --qrels qrels.txt

    Writes report.html and report.json into the folder of --out, beside the
    answers, from which the same command goes on. A service that needs a key:
    RERANKER_API_KEY for --url, RERANKER_API_KEY_NAME for --against NAME=...

    Needs packages that serving does not:
    pip install -r requirements-evaluate.txt

    Exit status: 0 all answered, 1 some queries failed, 2 usage or something
    else to put right first, 3 a service does not answer, 130 interrupted.
    """
    _check_packages()
    services = _services(url, against or [])
    if calibration and not calibrate:
        raise typer.BadParameter("--calibration is where --calibrate writes; give both")
    if agree and len(services) < 2:
        raise typer.BadParameter("--agree compares services; name another with --against NAME=URL")
    try:
        dataset = _first(_read(data, run, qrels, topics, collection, split, depth), queries)
        if not agree and not any(query.judged for query in dataset.queries):
            raise BatchError("no relevant document is known for any query; --agree needs none")
        served = _served(services[0], dataset) if calibrate else None
        out.mkdir(parents=True, exist_ok=True)
        blend = dataset.dated and not calibrate
        scores = "raw" if calibrate else "unit" if blend else None
        asking = Asking(out, in_flight, patience, restart, scores)
        with progress_bar() as progress:
            answers = [asking.ask(service, dataset, progress) for service in services]
        # Not sooner, as its packages take seconds to load.
        from app.evaluate.report import Report

        fitted = _fitted(dataset, answers[0], served, calibration) if served else None
        report = Report.of(dataset, answers, blend=blend, fitted=fitted)
        (out / "report.json").write_text(report.as_json(), encoding="utf-8")
        (out / "report.html").write_text(report.as_html(), encoding="utf-8")
    except ServiceUnavailable as error:
        fail(f"{error}\nNo answer for {patience:g} s. {_CONTINUES}", UNREACHABLE)
    except _TO_PUT_RIGHT as error:
        fail(str(error), USAGE)
    except KeyboardInterrupt:
        fail(f"interrupted. {_CONTINUES}", INTERRUPTED)
    _show(report, out)
    if any(found.failed for found in answers):
        for found in answers:
            for id, reason in list(found.failed.items())[:3]:
                typer.echo(f"{found.service}, query {id}: {reason}", err=True)
        raise typer.Exit(PROBLEM)


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        packages = ", ".join(missing)
        fail(f"{packages} is missing: pip install -r requirements-evaluate.txt", USAGE)


def _services(url: str | None, against: list[str]) -> list[Service]:
    services = [Service("reranker", url)]
    for given in against:
        name, equals, address = given.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise typer.BadParameter(f"{given!r} is not NAME=URL", param_hint="--against")
        if name in [service.name for service in services]:
            raise typer.BadParameter(f"{name} is the name of two services", param_hint="--against")
        variable = "RERANKER_API_KEY_" + re.sub(r"\W", "_", name).upper()
        # An empty key keeps the client from sending the one that is meant for another service.
        services.append(Service(name, address, name, os.environ.get(variable, "")))
    return services


def _read(
    data: Path | None,
    run: Path | None,
    qrels: Path | None,
    topics: Path | None,
    collection: Path | None,
    split: str,
    depth: int,
) -> Dataset:
    others = [path for path in (qrels, topics, collection) if path]
    if data and not others:
        if data.is_dir():
            from app.evaluate.beir import read_beir

            return read_beir(data, split, depth, run)
        if not run:
            return read_jsonl(data, depth)
    if run and qrels and topics and collection and not data:
        return read_trec(run, collection, topics, qrels, depth)
    raise typer.BadParameter(
        "give a BEIR folder (with --run for candidates of your own), or a JSONL file, "
        "or --run with --collection, --topics and --qrels"
    )


def _first(dataset: Dataset, queries: int | None) -> Dataset:
    return replace(dataset, queries=dataset.queries[:queries])


def _served(service: Service, dataset: Dataset) -> Served:
    """What is calibrated, before anything is asked that would be in vain."""
    from app.evaluate.calibration import Served, halves

    halves(dataset)
    with Reranker(service.url, service.model, service.key) as client:
        return Served.of(client.described())


def _fitted(dataset: Dataset, answers: Answers, served: Served, path: Path | None) -> Fitted:
    """The calibration, written where the service finds it, or to `path`."""
    from app.evaluate.calibration import calibrate

    if not path and not _NAME.fullmatch(served.model):
        raise BatchError(f"{served.model!r} names no folder below weights; give --calibration FILE")
    fitted = calibrate(dataset, answers, served)
    path = path or Path("weights", served.model, "calibration.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fitted.as_json(), encoding="utf-8")
    typer.echo(path)
    return fitted


def _show(report: Report, out: Path) -> None:
    console = Console()
    for remark in report.dataset.remarks:
        console.print(remark, style="dim", markup=False)
    for table in report.tables():
        console.print(table)
    typer.echo(f"{out / 'report.html'}\n{out / 'report.json'}")
