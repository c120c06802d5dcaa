"""Texts of a request: normalised, counted in tokens, and cut, a little at a time.

llama-server tokenizes less than a megabyte a second, so a text is read only as far as it is kept,
and no call is long: between two of them those of other requests have their turn.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.llama.client import LlamaServer, LlamaServerError, Segments, TokenIds
from models.nfc import nfc

# Characters of one call: some ten milliseconds of tokenizing.
_CALL = 8192
# Last tokens of a run that goes on: what follows might change them. It does so through merges each
# of which comes before the one to its left, and no vocabulary has that many in a row.
_UNSETTLED = 1024

# Where Qwen's pre-tokenizer always splits and Unicode never composes: before a space that follows
# none, and between a letter or digit and ASCII, Chinese or Japanese punctuation.
_SEAM = re.compile(
    r"(?<=[\w!-~、。，．！？；：])(?= )|(?<=[^\W_])(?=[\t-\r!-/:-@\[-`{-~、。，．！？；：])"
)


@dataclass(frozen=True)
class Text:
    """A text in NFC, as the model's own tokenizer reads it, and the tokens it takes at most.

    Of one that `is_cut`, the rest was left away.
    """

    content: str
    tokens: int
    is_cut: bool = False


class Texts:
    """Tokenizes texts by llama-server; `separator` is any special token."""

    def __init__(self, server: LlamaServer, separator: int) -> None:
        self._server = server
        self._separator = separator
        # Of llama-server's HTTP threads, as few as two are left beside one for each slot.
        self._calling = asyncio.Lock()

    async def tokenize(self, segments: Sequence[str | int]) -> TokenIds:
        """Token ids of strings and ids mixed, as `LlamaServer.tokenize` gives them."""
        parts = [await self._call(part) for part in _calls(segments)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    async def bounded(self, texts: Sequence[str]) -> list[Text] | None:
        """The texts, with as many tokens as bytes, which none exceeds; None if one is long."""
        if any(len(text) > _CALL for text in texts):
            return None
        contents = await asyncio.to_thread(_normalized, texts)
        return [Text(content, len(content.encode())) for content in contents]

    async def cut(self, texts: Sequence[str], limits: Sequence[int]) -> list[Text]:
        """The texts, each cut to its limit of tokens, with the tokens they have alone."""
        return [
            await self._within(limit, content, ids)
            for limit, (content, ids) in zip(limits, await self._read(texts, limits), strict=True)
        ]

    async def heads(self, texts: Sequence[str], limit: int) -> list[TokenIds]:
        """The first `limit` tokens of each text."""
        return [ids[:limit] for _, ids in await self._read(texts, [limit] * len(texts))]

    async def _read(
        self, texts: Sequence[str], limits: Sequence[int]
    ) -> list[tuple[str, TokenIds]]:
        """The texts with their tokens; of one that is longer than its limit, more than that."""
        short = [i for i, text in enumerate(texts) if len(text) <= _CALL]
        contents = await asyncio.to_thread(_normalized, [texts[i] for i in short])
        runs = await self._runs(contents)
        read = {i: (content, run) for i, content, run in zip(short, contents, runs, strict=True)}
        return [
            read[i] if i in read else await self._read_long(text, limits[i])
            for i, text in enumerate(texts)
        ]

    async def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text alone."""
        contents = await asyncio.to_thread(_normalized, texts)
        return [len(run) for run in await self._runs(contents)]

    async def _runs(self, contents: Sequence[str]) -> list[TokenIds]:
        """The token ids of each, all read as one list: the separator keeps them from merging."""
        ids = await self.tokenize([s for content in contents for s in (content, self._separator)])
        ends = positions(ids, self._separator, len(contents))
        return [run[:-1] for run in np.split(ids, ends + 1)[: len(contents)]]

    async def _read_long(self, text: str, limit: int) -> tuple[str, TokenIds]:
        """A long text, no further than its first `limit` tokens are certain."""
        contents: list[str] = []
        parts: list[TokenIds] = []
        start, size = 0, _CALL
        while start < len(text) and sum(map(len, parts)) <= limit:
            whole = start + size >= len(text)
            end = len(text) if whole else _last_seam(text, start, start + size)
            content = await asyncio.to_thread(nfc, text[start : end or start + size])
            ids = await self._call([content])
            if end:
                contents.append(content)
                parts.append(ids)
                start, size = end, _CALL
            elif sum(map(len, parts)) + len(ids) - _UNSETTLED > limit:
                parts.append(ids[:-_UNSETTLED])
            else:
                size *= 2
        return "".join(contents), np.concatenate(parts)

    async def _within(self, limit: int, content: str, ids: TokenIds) -> Text:
        if len(ids) <= limit:
            return Text(content, len(ids))
        async with self._calling:
            return Text(await self._server.detokenize(ids[:limit]), limit, is_cut=True)

    async def _call(self, segments: Sequence[str | int]) -> TokenIds:
        async with self._calling:
            return await self._server.tokenize(segments)


def positions(ids: TokenIds, token: int, expected: int) -> NDArray[np.int64]:
    """Where the special `token` is; raises `LlamaServerError` unless it is there as expected."""
    found = np.flatnonzero(ids == token)
    if len(found) != expected:
        raise LlamaServerError(
            f"llama-server made {len(found)} special tokens of a prompt with {expected}"
        )
    return found


def _normalized(texts: Sequence[str]) -> list[str]:
    return [nfc(text) for text in texts]


def _calls(segments: Sequence[str | int]) -> Iterator[Segments]:
    """The segments in lists of at most `_CALL` characters, as far as texts have seams."""
    call: Segments = []
    size = 0
    for segment in segments:
        for piece in _pieces(segment) if isinstance(segment, str) else (segment,):
            length = len(piece) if isinstance(piece, str) else 1
            if size and size + length > _CALL:
                yield call
                call, size = [], 0
            call.append(piece)
            size += length
    if call:
        yield call


def _pieces(text: str) -> Iterator[str]:
    start, size = 0, _CALL
    while start + size < len(text):
        end = _last_seam(text, start, start + size)
        if end:
            yield text[start:end]
            start, size = end, _CALL
        else:
            size *= 2
    yield text[start:]


def _last_seam(text: str, start: int, end: int) -> int:
    """The last seam between `start` and `end`, or 0."""
    last = 0
    for seam in _SEAM.finditer(text, start + 1, end):
        last = seam.start()
    return last
