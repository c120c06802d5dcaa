"""Documents from the command line, from files and from standard input."""

from __future__ import annotations

import io
import json
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from app.batch.errors import BatchError
from app.batch.text import as_utf8
from app.suggestion import did_you_mean


class DocumentsError(ValueError):
    """There are no documents, or they cannot be read; the message says what to do."""


def collect(arguments: Sequence[str], files: Sequence[Path]) -> list[str]:
    """The documents of `arguments` and `files`, or of standard input if both are empty.

    Raises `DocumentsError`.
    """
    if arguments or files:
        documents = [*arguments, *(document for path in files for document in read(path))]
    elif sys.stdin is None or sys.stdin.isatty():
        raise DocumentsError(
            "no documents: give them after the query, with --file, or one per line on standard "
            "input"
        )
    else:
        documents = _lines(_decode(sys.stdin.buffer.read(), "standard input"))
    if not documents:
        raise DocumentsError("no documents: only empty lines were given")
    return documents


def read(path: Path) -> list[str]:
    """The documents of a file, one per line.

    Lines of a `.jsonl` or `.jsonl.gz` file are JSON strings, or objects with the document under
    "text". Raises `DocumentsError`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DocumentsError(f"{path} does not exist{did_you_mean(path)}") from error
    except OSError as error:
        raise DocumentsError(f"{path} cannot be read: {error.strerror}") from error
    text = _decode(content, str(path))
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        return _lines(text)
    return [
        _text(line, f"{path}, line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]


def _lines(text: str) -> list[str]:
    # Not splitlines(), which also splits at characters that stand inside of a line.
    return [line.strip() for line in text.split("\n") if line.strip()]


def _decode(content: bytes, source: str) -> str:
    try:
        return as_utf8(io.BufferedReader(io.BytesIO(content)), source).read().decode()
    except UnicodeDecodeError as error:
        raise DocumentsError(f"{source} is not UTF-8 at byte {error.start:,}") from error
    except BatchError as error:
        raise DocumentsError(str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DocumentsError(f"{source} cannot be unpacked: {error}") from error


def _text(line: str, source: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DocumentsError(f"{source} is not JSON: {error}") from error
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise DocumentsError(f'{source} is neither a string nor an object with "text"')
    return text
