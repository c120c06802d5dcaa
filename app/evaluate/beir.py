"""Data sets as BEIR publishes them: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.batch.text import open_text
from app.batch.texts import Texts
from app.evaluate.bm25 import top
from app.evaluate.dataset import DataError, Dataset, assemble
from app.evaluate.jsonl import records
from app.evaluate.trec import read_run


def read_beir(folder: Path, split: str, depth: int, run: Path | None = None) -> Dataset:
    """The judged queries of `split`, with the `depth` best of `run`, or of BM25.

    A document with the id of the query is no candidate: in ArguAna and Quora the query itself is in
    the corpus, and BEIR's published figures leave it away. Raises `DataError`.
    """
    corpus, topics_path = _file(folder, "corpus.jsonl"), _file(folder, "queries.jsonl")
    qrels = _file(folder / "qrels", f"{split}.tsv")
    judgements = _read_qrels(qrels)
    everyone = {str(record["_id"]): str(record["text"]) for record in _named(topics_path)}
    topics = {id: text for id, text in everyone.items() if id in judgements}
    documents = Texts(corpus)
    if run:
        candidates = read_run(run, depth + 1)
        candidates = {id: found for id, found in candidates.items() if id in topics}
    else:
        texts = {str(record["_id"]): _text(record) for record in _named(corpus)}
        candidates = top(texts, topics, depth + 1)
    candidates = {id: [d for d in found if d != id][:depth] for id, found in candidates.items()}
    files = {"corpus": corpus, "queries": topics_path, "qrels": qrels}
    return assemble(
        topics, candidates, judgements, documents, files | ({"run": run} if run else {})
    )


def _text(record: dict[str, object]) -> str:
    return f"{record.get('title') or ''} {record['text']}".strip()


def _named(path: Path) -> Iterator[dict[str, object]]:
    for line, record in records(path):
        if "_id" not in record or "text" not in record:
            raise DataError(f"{path}, line {line}: no _id or no text")
        yield record


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    with open_text(path) as file:
        for line, content in enumerate(file, 1):
            columns = content.decode(errors="replace").split()
            if not columns or (line == 1 and columns[-1] == "score"):
                continue
            try:
                query, document, grade = columns
                judgements.setdefault(query, {})[document] = int(grade)
            except ValueError:
                raise DataError(
                    f"{path}, line {line}: not `query document grade` with a whole number"
                ) from None
    return judgements


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise DataError(f"{folder / name} is missing; there are {', '.join(there) or 'no files'}")
