"""Texts found by id in a file of any size, which stays on disk."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import orjson

from app.batch.errors import BatchError
from app.batch.text import open_text

_IDS = ("id", "_id", "docid", "docno")
_TEXTS = ("text", "contents")


class DuplicateId(Exception):
    """An id that occurs twice."""


class Offsets:
    """A place for each id, kept in a temporary file that ends with the process."""

    def __init__(self, places: Iterable[tuple[str, int]]) -> None:
        # The empty name is SQLite's for a temporary file.
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE places (id TEXT, place INTEGER)")
        self._database.executemany("INSERT INTO places VALUES (?, ?)", places)
        try:
            self._database.execute("CREATE UNIQUE INDEX by_id ON places (id)")
        except sqlite3.IntegrityError:
            twice = "SELECT id FROM places GROUP BY id HAVING COUNT(*) > 1"
            raise DuplicateId(self._database.execute(twice).fetchone()[0]) from None

    def __len__(self) -> int:
        """How many ids there are."""
        return int(self._database.execute("SELECT COUNT(*) FROM places").fetchone()[0])

    def __getitem__(self, id: str) -> int:
        """The place of `id`; raises `KeyError`."""
        select = "SELECT place FROM places WHERE id = ?"
        row = self._database.execute(select, [id]).fetchone()
        if row is None:
            raise KeyError(id)
        return int(row[0])


class Texts:
    """The texts of a file whose lines are `id<TAB>text`, or JSON with an id and a text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _unpacked(path)
        try:
            self._offsets = Offsets(self._read())
        except DuplicateId as error:
            raise BatchError(f"{path}: the id {error} occurs twice") from error

    def __getitem__(self, id: str) -> str:
        """The text of `id`; raises `KeyError`."""
        self._file.seek(self._offsets[id])
        try:
            found, text = _parse(self._file.readline())
        except ValueError:
            found, text = None, ""
        if found != id:
            raise BatchError(f"{self._path} changed while the job read it; put it back")
        return text

    def _read(self) -> Iterator[tuple[str, int]]:
        offset = self._file.tell()
        for number, line in enumerate(self._file, 1):
            if line.strip():
                try:
                    yield _parse(line)[0], offset
                except ValueError as error:
                    raise BatchError(f"{self._path}, line {number}: {error}") from error
            offset += len(line)


def _parse(line: bytes) -> tuple[str, str]:
    if line.lstrip().startswith(b"{"):
        record = orjson.loads(line)
        text, title = _first(record, _TEXTS), record.get("title") or ""
        if not isinstance(text, str) or not isinstance(title, str):
            raise ValueError("the text or the title in the JSON object is no string")
        return str(_first(record, _IDS)), f"{title} {text}" if title else text
    id, tab, text = line.decode().rstrip("\r\n").partition("\t")
    if not tab:
        raise ValueError("neither `id<TAB>text` nor a JSON object")
    return id, text


def _first(record: dict[str, object], names: Iterable[str]) -> object:
    for name in names:
        if name in record:
            return record[name]
    raise ValueError(f"none of {', '.join(names)} in the JSON object")


def _unpacked(path: Path) -> IO[bytes]:
    file = open_text(path)
    if not isinstance(file, gzip.GzipFile):
        return file
    # A place in packed data cannot be reached without unpacking all before it.
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        shutil.copyfileobj(file, unpacked)
    unpacked.seek(0)
    return unpacked
