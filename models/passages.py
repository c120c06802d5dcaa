"""A long text as passages that a model reads whole: where one ends and the next begins."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

# Characters whose pieces are made and counted before it is known whether more are wanted.
_WINDOW = 32_768
# Tokens that a passage shares with the one before, or a quarter if that is less.
_MOST_OVERLAP = 80
# A character has at most four bytes, so tokens: no piece takes more than a quarter of a passage.
_PIECES_OF_A_PASSAGE = 16

# Where a reader would stop, and how firmly.
_PARAGRAPH, _SENTENCE, _WORD, _ANYWHERE = 3, 2, 1, 0
_ENDS = (
    (re.compile(r"(?:\r?\n[ \t]*){2,}"), _PARAGRAPH),
    (re.compile(r"[.!?…][\"'”’)\]]*(?=\s)|[。！？][”’」』）]*|\r?\n"), _SENTENCE),
    (re.compile(r"\S(?=\s)"), _WORD),
)

Count = Callable[[Sequence[str]], Awaitable[list[int]]]


@dataclass(frozen=True)
class _Piece:
    """Characters that stay together, how firmly they end, and their tokens."""

    start: int
    end: int
    firmness: int
    tokens: int


async def passages(text: str, tokens: int, count: Count, most: int) -> list[range]:
    """Overlapping passages of `text`, in characters, of at most `tokens` each; `most` + 1 at most.

    A passage ends with a paragraph or a sentence if one ends in its second half. No character is
    between two passages but white space. `count` tells the tokens of each of several texts.
    """
    pieces: list[_Piece] = []
    start = 0
    # Each passage but the last is at least half new.
    while start < len(text) and sum(piece.tokens for piece in pieces) <= (most + 1) * tokens:
        cuts = await asyncio.to_thread(_cuts, text, start, tokens)
        counts = await count([text[a:b] for a, b, _ in cuts])
        pieces += [_Piece(*cut, n) for cut, n in zip(cuts, counts, strict=True)]
        start = pieces[-1].end
    found = _packed(pieces, tokens)
    trimmed = (_trimmed(text, found_range) for found_range in found)
    return [passage for passage in trimmed if passage][: most + 1]


async def ending(text: str, tokens: int, count: Count) -> range:
    """The longest end of `text` of at most so many `tokens`, in characters."""
    # A character has at most four bytes, so tokens.
    fits, size = 0, max(tokens // 4, 1)
    while size < len(text) and (await count([text[-size:]]))[0] <= tokens:
        fits, size = size, 2 * size
    size = min(size, len(text))
    if (await count([text[-size:]]))[0] <= tokens:
        return range(len(text))
    while size - fits > 1:
        middle = (fits + size) // 2
        if (await count([text[-middle:]]))[0] <= tokens:
            fits = middle
        else:
            size = middle
    start = len(text) - fits
    while _joins(text, start):
        start += 1
    return range(start, len(text))


def _cuts(text: str, start: int, tokens: int) -> list[tuple[int, int, int]]:
    """Start, end and firmness of the pieces of a window of `text`."""
    longest = max(tokens // _PIECES_OF_A_PASSAGE, 1)
    stop = _apart(text, start, min(start + _WINDOW, len(text)))
    ends: dict[int, int] = {stop: _ANYWHERE}
    for pattern, firmness in reversed(_ENDS):
        ends |= {match.end(): firmness for match in pattern.finditer(text, start, stop)}
    cuts: list[tuple[int, int, int]] = []
    here, word = start, (start, _ANYWHERE)
    for end, firmness in sorted(ends.items()):
        # As many words as fit, then a word that is too long in parts.
        if end - here > longest and word[0] > here:
            cuts.append((here, *word))
            here = word[0]
        while end - here > longest:
            apart = _apart(text, here, here + longest)
            cuts.append((here, apart, _ANYWHERE))
            here = apart
        word = (end, firmness)
        if firmness >= _SENTENCE and end > here:
            cuts.append((here, end, firmness))
            here = end
    if stop > here:
        cuts.append((here, stop, ends[stop]))
    return cuts


def _apart(text: str, start: int, end: int) -> int:
    """The last place up to `end` where no character belongs to the one before."""
    for place in range(end, start, -1):
        if not _joins(text, place):
            return place
    return end


def _joins(text: str, place: int) -> bool:
    """Whether the character at `place` is drawn, composed or meant with the one before."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return (
        unicodedata.category(after).startswith("M")
        # Vowels and finals of decomposed Korean, skin tones, joined emoji, CRLF.
        or "\u1160" <= after <= "\u11ff"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or "\u200d" in (before, after)
        or (before, after) == ("\r", "\n")
    )


def _packed(pieces: Sequence[_Piece], tokens: int) -> list[range]:
    """Passages of whole pieces."""
    sums = [0, *accumulate(piece.tokens for piece in pieces)]
    overlap = min(_MOST_OVERLAP, tokens // 4)
    found: list[range] = []
    first = 0
    while first < len(pieces):
        last = first
        while last + 1 < len(pieces) and sums[last + 2] - sums[first] <= tokens:
            last += 1
        if last + 1 < len(pieces):
            last = _firmest(pieces, sums, first, last)
        found.append(range(pieces[first].start, pieces[last].end))
        if last + 1 == len(pieces):
            break
        following = last + 1
        while following - 1 > first and sums[last + 1] - sums[following - 1] <= overlap:
            following -= 1
        first = following
    return found


def _firmest(pieces: Sequence[_Piece], sums: Sequence[int], first: int, last: int) -> int:
    """The last piece of those that end most firmly, in the second half of what fits."""
    half = (sums[first] + sums[last + 1]) / 2
    second_half = [i for i in range(first, last + 1) if sums[i + 1] >= half]
    return max(second_half, key=lambda i: (min(pieces[i].firmness, _PARAGRAPH), i))


def _trimmed(text: str, passage: range) -> range:
    """Without white space around it."""
    content = text[passage.start : passage.stop]
    start = passage.start + len(content) - len(content.lstrip())
    return range(start, max(start, passage.start + len(content.rstrip())))
