"""Texts as token ids of a SentencePiece vocabulary, by llama-server, a little at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence

import numpy as np

from models.llama.client import LlamaServer, TokenIds
from models.texts import positions

# Characters of one call: some ten milliseconds of tokenizing.
_CALL = 8192
# A text with no space in as many characters is parted there, which may cost it a token.
_LONGEST_CALL = 8 * _CALL
# Where no token reaches across, and a text goes on as it begins: with a space.
_SPACE = re.compile("[ \t\n\r\u3000]")


class Tokenizer:
    """Tokenizes texts; `separator` is any special token."""

    def __init__(self, server: LlamaServer, separator: int) -> None:
        self._server = server
        self._separator = separator
        # Of llama-server's HTTP threads, as few as two are left beside one for each slot.
        self._calling = asyncio.Lock()

    async def ids(self, texts: Sequence[str], most: int | None = None) -> list[TokenIds]:
        """Token ids of each text, its first `most` if that is given.

        A long text is read no further than that.
        """
        ids: list[TokenIds] = []
        for together in _calls(texts):
            if len(together[0]) > _CALL:
                ids.append(await self._long(together[0], most))
            else:
                ids += await self._short(together)
        return [each[:most] for each in ids]

    async def _short(self, texts: Sequence[str]) -> list[TokenIds]:
        ids = await self._call([part for text in texts for part in (text, self._separator)])
        ends = positions(ids, self._separator, len(texts))
        return [run[:-1] for run in np.split(ids, ends + 1)[:-1]]

    async def _long(self, text: str, most: int | None) -> TokenIds:
        parts: list[TokenIds] = []
        count = 0
        for piece in _pieces(text):
            parts.append(await self._call([piece]))
            count += len(parts[-1])
            if most is not None and count >= most:
                break
        return np.concatenate(parts)

    async def _call(self, segments: Sequence[str | int]) -> TokenIds:
        async with self._calling:
            return await self._server.tokenize(segments)


def _calls(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in lists of at most `_CALL` characters; a longer one is alone."""
    call: list[str] = []
    size = 0
    for text in texts:
        if call and size + len(text) > _CALL:
            yield call
            call, size = [], 0
        call.append(text)
        size += len(text)
    if call:
        yield call


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of about `_CALL` characters, each but the first from a space on."""
    start = 0
    while len(text) - start > _CALL:
        space = _SPACE.search(text, start + _CALL, start + _LONGEST_CALL)
        end = space.start() if space else min(start + _LONGEST_CALL, len(text))
        yield text[start:end]
        start = end
    yield text[start:]
