"""Documents from the command line, from files and from standard input."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from app.batch.errors import BatchError
from app.batch.text import as_utf8
from app.suggestion import did_you_mean

Table = Literal["csv", "tsv"]

_STDIN = Path("-")
_ARGUMENT = "argument:"
_TEXT_COLUMNS = ("text", "document", "content", "passage", "body")
_FOUND = re.compile(r"(.+?):(\d+):(.*)", re.DOTALL)
# As csv counts: a field may be as long as a document.
csv.field_size_limit(2**31 - 1)


class DocumentsError(ValueError):
    """There are no documents, or they cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Document:
    """A text to rank, and where it stands: `notes.txt:3`, `-:3` or `argument:3`."""

    text: str
    source: str

    @property
    def was_read(self) -> bool:
        """Whether it comes from a file or from standard input."""
        return not self.source.startswith(_ARGUMENT)


def collect(
    arguments: Sequence[str],
    files: Sequence[Path],
    table: Table | None = None,
    column: str | None = None,
) -> list[Document]:
    """The documents of `arguments` and `files`, or of standard input if both are empty.

    `table` says what is read, whatever its name; `column` is the one of the texts. Raises
    `DocumentsError`.
    """
    if not arguments and not files:
        if sys.stdin is None or sys.stdin.isatty():
            raise DocumentsError(
                "no documents: give them after the query, with --file, or one per line on "
                "standard input"
            )
        files = [_STDIN]
    if column is not None and not any(_kind(path, table) in ("csv", "tsv") for path in files):
        raise DocumentsError("--column is for tables: add --csv or --tsv, or name a .csv or .tsv")
    documents = [Document(text, f"{_ARGUMENT}{n}") for n, text in enumerate(arguments, start=1)]
    for path in files:
        documents += read(path, table, column)
    if not documents:
        raise DocumentsError("no documents: only empty lines were given")
    return documents


def read(path: Path, table: Table | None = None, column: str | None = None) -> list[Document]:
    """The documents of a file, one per line; `-` is standard input.

    Lines of `.jsonl` are JSON strings, or objects with the document under "text"; the first row of
    `.csv` and `.tsv` names the columns. Lines of standard input that begin as grep writes them,
    with a file that is there and a number, stand where they say. Raises `DocumentsError`.
    """
    text = _decode(_content(path), "standard input" if path == _STDIN else str(path))
    kind = _kind(path, table)
    if kind in ("csv", "tsv"):
        documents = _rows(text, str(path), kind, column)
    elif kind == "jsonl":
        documents = _json_lines(text, str(path))
    else:
        documents = _lines(text, str(path))
    return list(documents)


def _kind(path: Path, table: Table | None) -> str:
    """`csv`, `tsv` or `jsonl`, or another ending without meaning."""
    return table or path.name.lower().removesuffix(".gz").rpartition(".")[2]


def _content(path: Path) -> bytes:
    if path == _STDIN:
        return sys.stdin.buffer.read() if sys.stdin else b""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DocumentsError(f"{path} does not exist{did_you_mean(path)}") from error
    except OSError as error:
        raise DocumentsError(f"{path} cannot be read: {error.strerror}") from error


def _decode(content: bytes, source: str) -> str:
    try:
        return as_utf8(io.BufferedReader(io.BytesIO(content)), source).read().decode()
    except UnicodeDecodeError as error:
        raise DocumentsError(f"{source} is not UTF-8 at byte {error.start:,}") from error
    except BatchError as error:
        raise DocumentsError(str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DocumentsError(f"{source} cannot be unpacked: {error}") from error


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    # Not splitlines(), which also splits at characters that stand inside of a line.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _lines(text: str, name: str) -> Iterator[Document]:
    is_file = lru_cache(os.path.isfile)
    for number, line in _numbered(text):
        source = f"{name}:{number}"
        found = _FOUND.fullmatch(line) if name == str(_STDIN) else None
        if found and is_file(found[1]):
            source, line = f"{found[1]}:{found[2]}", found[3]
        if line.strip():
            yield Document(line.strip(), source)


def _json_lines(text: str, name: str) -> Iterator[Document]:
    for number, line in _numbered(text):
        yield Document(_text(line, f"{name}, line {number}"), f"{name}:{number}")


def _text(line: str, source: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentsError(f"{source} is not JSON: {error}") from error
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise DocumentsError(f'{source} is neither a string nor an object with "text"')
    return text


def _rows(text: str, name: str, kind: str, column: str | None) -> Iterator[Document]:
    # Tables of texts seldom mean the quotes that stand in them, but for CSV.
    quoting: dict[str, Any] = {} if kind == "csv" else {"quoting": csv.QUOTE_NONE}
    lines = io.StringIO(text, newline="")
    rows = csv.reader(lines, delimiter="," if kind == "csv" else "\t", strict=True, **quoting)
    place, line = None, 1
    try:
        for row in rows:
            if place is None:
                place = _place(row, name, column)
            elif len(row) > place and row[place].strip():
                yield Document(row[place].strip(), f"{name}:{line}")
            line = rows.line_num + 1
    except csv.Error as error:
        raise DocumentsError(
            f"{name}, line {rows.line_num} is no {kind.upper()}: {error}"
        ) from error


def _place(columns: Sequence[str], name: str, wanted: str | None) -> int:
    """Where the texts stand in each row."""
    folded = [each.strip().casefold() for each in columns]
    names = _TEXT_COLUMNS if wanted is None else (wanted.strip().casefold(),)
    found = next((each for each in names if each in folded), None)
    if found is not None:
        return folded.index(found)
    if wanted is None and len(columns) == 1:
        return 0
    told = f"there is no {wanted!r}" if wanted is not None else "say which one has the documents"
    raise DocumentsError(f"{name} has the columns {', '.join(columns)}; {told}: --column NAME")
