"""What is read of a body is what `json` would read, as far as the dialects know it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import excerpt
from app.excerpt import Excerpt, has_more_values, size

FIELDS = ("query", "documents", "top_n", "rank_fields")
EXCERPT = Excerpt(FIELDS, limit=3)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text()
ITEMS = SCALARS | st.fixed_dictionaries({}, optional={"text": SCALARS, "title": SCALARS})
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "query": ITEMS,
        "documents": ITEMS | st.lists(ITEMS, max_size=4),
        "top_n": ITEMS,
        "rank_fields": st.just(["title"]),
    },
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


def named(value: Any, names: list[str]) -> Any:
    """`value` without the fields of objects that are not named."""
    if isinstance(value, list):
        return [named(item, names) for item in value]
    return {n: value[n] for n in value if n in names} if isinstance(value, dict) else value


@given(BODIES, st.dictionaries(st.text().filter(lambda name: name not in FIELDS), ANYTHING))
def test_what_is_known_is_read_and_the_rest_is_not(
    known: dict[str, Any], unknown: dict[str, Any]
) -> None:
    names = ["text", *known.get("rank_fields", [])]

    read = EXCERPT.of(json.dumps(unknown | known).encode())

    assert read == {name: named(value, names) for name, value in known.items()}


def test_what_is_nested_is_empty_and_what_is_too_long_is_cut() -> None:
    body = b'{"query": {"text": [1]}, "documents": [[1], {"text": {"a": 1}}, 3, 4, 5, 6]}'

    assert EXCERPT.of(body) == {"query": {"text": []}, "documents": [[], {"text": {}}, 3, 4]}


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "\\ud800", "documents": ["a"]}',
        b'{"query": NaN}',
        '{"query": "회의"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"query": "a"}',
        b"null",
        b"[1, 2]",
        b'"a"',
    ],
)
def test_what_only_json_reads_is_read_by_json(body: bytes) -> None:
    assert repr(EXCERPT.of(body)) == repr(json.loads(body))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"query": tru}', b'{"query": "a"} b', b'{"query": 1e}', b'{"query": "\\q"}'],
)
def test_malformed_is_told_as_json_tells_it(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(body)
    with pytest.raises(json.JSONDecodeError) as refused:
        EXCERPT.of(body)
    assert str(refused.value) == str(expected.value)


def test_malformed_in_other_ways() -> None:
    for body, reason in ((b"\xff", "not UTF-8"), (b"9" * 5000, "too many digits")):
        with pytest.raises(json.JSONDecodeError, match=reason):
            EXCERPT.of(body)


def test_nested_too_deeply() -> None:
    with pytest.raises(json.JSONDecodeError, match="nested too deeply"):
        EXCERPT.of(b'{"x":' + b"[" * 200_000)


def test_malformed_and_too_much_for_json() -> None:
    with pytest.raises(json.JSONDecodeError, match="truncated"):
        EXCERPT.of(b'{"query": [' + b"[]," * 100_000)


def test_size_is_that_of_characters_in_memory() -> None:
    assert size({"a": ["", "b" * 1000, 3, {"text": "😀" * 1000}]}) == pytest.approx(5000, rel=0.05)


@pytest.mark.parametrize(
    ("body", "marks"),
    [
        (b'["[,{", "\\"[,[", "\\\\", {"a": [1, 2]}]', 7),
        (b'{"a": "' + b"," * 1000 + b'"}', 1),
        (b'[1, "never closed [[[', 2),
        (b"[" * 1000, 1000),
    ],
)
@pytest.mark.parametrize("window", [1, 2, 3, 5, 10_000])
def test_values_are_counted_outside_of_texts(
    monkeypatch: pytest.MonkeyPatch, body: bytes, marks: int, window: int
) -> None:
    monkeypatch.setattr(excerpt, "_WINDOW", window)

    assert has_more_values(body, marks - 1)
    assert not has_more_values(body, marks)
