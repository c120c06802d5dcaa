"""How every input is read: one rule for all of them."""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
from pathlib import Path
from typing import IO, cast

from app.batch.errors import BatchError

_GZIP = b"\x1f\x8b"
# In this order: the mark of UTF-32 begins like that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHUNK = 2**20


def open_text(path: Path) -> IO[bytes]:
    """The text of a file as UTF-8; see `as_utf8`. Raises `BatchError`, `OSError`."""
    return as_utf8(path.open("rb"), str(path))


def as_utf8(file: IO[bytes], name: str) -> IO[bytes]:
    """The text of `file` from its start as UTF-8, without byte order mark.

    What gzip packed is unpacked. Text is UTF-8, or UTF-16 or UTF-32 if a byte order mark says so;
    UTF-8 is not checked here. Raises `BatchError`.
    """
    buffered = cast(io.BufferedReader, file)
    if buffered.peek(2).startswith(_GZIP):
        buffered = cast(io.BufferedReader, gzip.GzipFile(fileobj=file))
    start = buffered.peek(4)[:4]
    mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
    if mark == codecs.BOM_UTF8:
        buffered.read(len(mark))
    elif mark:
        return _recoded(buffered, _MARKS[mark], name)
    elif b"\0" in start:
        raise BatchError(
            f"{name} is no text, or UTF-16 without a byte order mark; save it as UTF-8"
        )
    return buffered


def _recoded(file: io.BufferedReader, encoding: str, name: str) -> IO[bytes]:
    utf8 = tempfile.TemporaryFile()  # noqa: SIM115
    # Half a character is passed on, so that only its own line fails.
    text = io.TextIOWrapper(file, encoding, "surrogatepass", newline="")
    try:
        while chunk := text.read(_CHUNK):
            utf8.write(chunk.encode(errors="surrogatepass"))
    except UnicodeDecodeError as error:
        raise BatchError(
            f"{name} is not the {encoding.upper()} that its byte order mark says: {error.reason}"
        ) from error
    utf8.seek(0)
    return utf8
