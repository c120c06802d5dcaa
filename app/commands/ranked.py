"""Documents in their order, as `rerank` prints them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.client import Result
from app.commands.documents import Document

_BAR_COLUMNS = 10
_LEAST_COLUMNS_WITH_BAR = 50
_SOURCE_COLUMNS = 24


@dataclass(frozen=True)
class Ranked:
    """A document at its rank, from 1; `truncated` if it was read in part only."""

    rank: int
    result: Result
    document: Document
    truncated: bool

    @property
    def score(self) -> str:
        """With four decimals."""
        return f"{self.result.relevance_score:.4f}"

    @property
    def source(self) -> str:
        """In one line."""
        return _one_line(self.document.source)

    @property
    def text(self) -> str:
        """The document, or its passage that counts, in one line."""
        return _one_line(self.result.passage or self.document.text)


def to_json(ranked: Sequence[Ranked]) -> str:
    """A list of what the service answers of each document, with its text and source."""
    told = []
    for each in ranked:
        fields = asdict(each.result) | asdict(each.document)
        told.append({name: value for name, value in fields.items() if value is not None})
        if each.truncated:
            told[-1]["truncated"] = True
    return json.dumps(told)


def show(ranked: Sequence[Ranked]) -> None:
    """Print a table to a terminal, and lines of fields between tabs to anything else."""
    console = Console()
    if console.is_terminal:
        console.print(_table(ranked, is_wide=console.width >= _LEAST_COLUMNS_WITH_BAR))
    else:
        for each in ranked:
            print(each.rank, each.score, each.source, each.text, sep="\t")


def _table(ranked: Sequence[Ranked], is_wide: bool) -> Table:
    # Who typed the documents knows where they come from.
    with_source = is_wide and any(each.document.was_read for each in ranked)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    if is_wide:
        table.add_column("0 to 1", width=_BAR_COLUMNS)
    if with_source:
        table.add_column("source", no_wrap=True, max_width=_SOURCE_COLUMNS)
    table.add_column("document", ratio=1, no_wrap=True, overflow="ellipsis")
    for each in ranked:
        bar = [Bar(1, 0, max(each.result.relevance_score, 0))] if is_wide else []
        # Not strings, in which brackets would be markup.
        source = [Text(_end(each.source))] if with_source else []
        table.add_row(str(each.rank), each.score, *bar, *source, Text(each.text))
    return table


def _end(source: str) -> str:
    """The last part of `source`, which has the line and the file's own name."""
    return source if len(source) <= _SOURCE_COLUMNS else f"…{source[1 - _SOURCE_COLUMNS :]}"


def _one_line(text: str) -> str:
    """`text` without line breaks, and without control characters that a terminal would obey."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
