"""Runs and judgements in the formats of TREC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.batch.text import open_text
from app.batch.texts import Texts
from app.batch.trec import read_topics
from app.evaluate.dataset import DataError, Dataset, assemble


def read_trec(run: Path, collection: Path, topics: Path, qrels: Path, depth: int) -> Dataset:
    """The queries of a run, each with its `depth` best documents; raises `DataError`."""
    candidates = read_run(run, depth)
    known = read_topics(topics)
    texts = {}
    for id in candidates:
        try:
            texts[id] = known[id]
        except KeyError:
            raise DataError(f"query {id} of {run} is not in {topics}") from None
    files = {"run": run, "collection": collection, "topics": topics, "qrels": qrels}
    return assemble(texts, candidates, read_qrels(qrels), Texts(collection), files)


def read_run(path: Path, depth: int) -> dict[str, list[str]]:
    """Of each query of a run the `depth` documents with the best scores, best first.

    As in trec_eval scores decide, not ranks; documents of one score stay in the file's order.
    """
    scores: dict[str, dict[str, float]] = {}
    for line, columns in _columns(path, 6, "query Q0 document rank score tag"):
        query, _, document, _, score, _ = columns
        found = scores.setdefault(query, {})
        if document in found:
            raise DataError(f"{path}, line {line}: document {document} of {query} occurs twice")
        found[document] = _number(score, path, line)
    return {
        query: sorted(found, key=lambda id: -found[id])[:depth] for query, found in scores.items()
    }


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Grades of documents, by query; raises `DataError`."""
    judgements: dict[str, dict[str, int]] = {}
    for line, (query, _, document, grade) in _columns(path, 4, "query 0 document grade"):
        judgements.setdefault(query, {})[document] = int(_number(grade, path, line))
    return judgements


def _columns(path: Path, count: int, form: str) -> Iterator[tuple[int, list[str]]]:
    with open_text(path) as file:
        for line, content in enumerate(file, 1):
            columns = content.decode(errors="replace").split()
            if columns and len(columns) != count:
                raise DataError(f"{path}, line {line}: not `{form}`")
            if columns:
                yield line, columns


def _number(text: str, path: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}, line {line}: {text!r} is no number") from None
