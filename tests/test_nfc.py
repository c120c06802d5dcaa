"""Normalising text, whatever marks it carries."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.nfc import nfc

# Letters that compose, marks that are out of order, and what stands between them.
CHARACTERS = st.sampled_from(
    "aéeA\u030a\u0301\u0316\u0338\u0f73\u0f74가\u1100\u1161\u11a8=👩\u200d \n"
)


@given(st.text(CHARACTERS, max_size=200))
def test_is_the_standards_nfc(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("character", ["회", "e\u0301", "=\u0338 ", "가나다라 ", "\n", "~"])
def test_is_the_standards_nfc_for_long_text(character: str) -> None:
    text = character * 1000

    assert nfc(text) == unicodedata.normalize("NFC", text)


def test_marks_are_neither_letters_nor_spaces() -> None:
    """A run of marks is found by that."""
    for character in map(chr, range(sys.maxunicode)):
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0]):
            assert not character.isalnum()
            assert not character.isspace()


def test_a_million_marks_in_the_wrong_order() -> None:
    text = "a" + "\u0301\u0316" * 500_000

    assert Counter(nfc(text)) == Counter(text)
