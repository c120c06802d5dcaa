"""Where long texts are split."""

from __future__ import annotations

import asyncio
import random
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passages import ending, passages

FLAG, FAMILY = "🇰🇷", "👨‍👩‍👧‍👦"


async def bytes_of(texts: Sequence[str]) -> list[int]:
    """A tokenizer without merges: a token a byte, the most that any makes."""
    return [len(unicodedata.normalize("NFC", text).encode()) for text in texts]


def sentences(count: int, seed: int = 1) -> list[str]:
    source = random.Random(seed)
    words = "soup noon meeting two quality lunch".split()
    return [" ".join(source.choices(words, k=8)).capitalize() + "." for _ in range(count)]


@pytest.mark.anyio
async def test_passages_end_with_sentences_and_overlap() -> None:
    text = " ".join(sentences(60))
    found = await passages(text, 400, bytes_of, 100)

    assert len(found) > 5
    for passage in found:
        content = text[passage.start : passage.stop]
        assert len(content) <= 400
        assert content.endswith(".")
    for one, next_one in pairwise(found):
        assert one.start < next_one.start <= one.stop < next_one.stop
        # Of 400 tokens, 80 at most are read twice.
        assert one.stop - next_one.start <= 80
    assert (found[0].start, found[-1].stop) == (0, len(text))


@pytest.mark.anyio
async def test_a_paragraph_is_a_better_end_than_a_sentence() -> None:
    one, two = " ".join(sentences(5, 2)), " ".join(sentences(9, 3))
    text = f"{one}\r\n\r\n{two}"
    found = await passages(text, len(one) + 100, bytes_of, 100)
    assert text[found[0].start : found[0].stop] == one


@pytest.mark.anyio
@pytest.mark.parametrize(
    "letter",
    ["a", "한", unicodedata.normalize("NFD", "한"), "é", FAMILY, "👍🏽", "न्", "\r\n"],
    ids=["latin", "korean", "decomposed", "accent", "family", "skin", "virama", "crlf"],
)
async def test_nothing_that_belongs_together_is_parted(letter: str) -> None:
    text = "x" + letter * 6000
    for passage in await passages(text, 800, bytes_of, 1000):
        content = text[passage.start : passage.stop].removeprefix("x")
        assert len(content) % len(letter) == 0
        assert content == letter * (len(content) // len(letter))


@pytest.mark.anyio
async def test_no_more_than_wanted_are_made() -> None:
    read = 0

    async def counted(texts: Sequence[str]) -> list[int]:
        nonlocal read
        read += sum(map(len, texts))
        return await bytes_of(texts)

    text = " ".join(sentences(40_000))
    assert len(await passages(text, 100, counted, 3)) == 4
    assert read < len(text) / 10


ALPHABET = "ab .\n\r!?。한é\u0301\u1161👍\U0001f3fd\u200d\t"


@given(
    st.text(alphabet=st.sampled_from(ALPHABET), max_size=3000),
    st.integers(16, 300),
)
def test_everything_is_in_a_passage(text: str, tokens: int) -> None:
    found = asyncio.run(passages(text, tokens, bytes_of, 10_000))
    covered = {place for passage in found for place in passage}
    assert all(char.isspace() or place in covered for place, char in enumerate(text))
    assert [p.start for p in found] == sorted({p.start for p in found})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("", 5, ""),
        ("abc", 5, "abc"),
        ("abcdefgh", 5, "defgh"),
        ("한국어", 5, "어"),
        ("xx" + FAMILY, 20, ""),
        ("x" * 5000, 17, "x" * 17),
        (FAMILY * 3, 26, FAMILY),
    ],
)
async def test_the_end_of_a_text(text: str, tokens: int, expected: str) -> None:
    found = await ending(text, tokens, bytes_of)
    assert text[found.start : found.stop] == expected
