"""More documents than one request takes: the best of each part, and then these together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.client import RequestError, RerankerError, Results

# Ranks texts, and returns so many of the best, or all.
Ask = Callable[[Sequence[str], int | None], Results]

_TOO_LARGE = 413
# Of a request: query, instruction and the names of fields.
_BYTES_BESIDE_DOCUMENTS = 64 * 1024
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Limits:
    """Documents that one request takes, and bytes of them."""

    documents: int = _NO_LIMIT
    body_bytes: int = _NO_LIMIT

    @classmethod
    def told(cls, described: Mapping[str, Any]) -> Limits:
        """As a service describes its model; what it does not tell is found by trying."""
        limits = described.get("limits")
        if not isinstance(limits, dict):
            return cls()
        found = {name: limits.get(name) for name in ("documents", "body_bytes")}
        return cls(**{name: n for name, n in found.items() if type(n) is int and n > 0})

    def parts(self, documents: Sequence[str], places: Sequence[int]) -> Iterator[list[int]]:
        """`places` of `documents`, in parts of which each fits."""
        part: list[int] = []
        size = _BYTES_BESIDE_DOCUMENTS
        for place in places:
            more = len(json.dumps(documents[place], ensure_ascii=False).encode(errors="replace"))
            if part and (len(part) == self.documents or size + more > self.body_bytes):
                yield part
                part, size = [], _BYTES_BESIDE_DOCUMENTS
            part.append(place)
            size += more + len(", ")
        yield part


def rank_in_rounds(
    ask: Ask, documents: Sequence[str], top_n: int | None, limits: Limits
) -> Results:
    """Rank the documents, the `top_n` best or those of the last round.

    Of each part the `top_n` best go on, so none of them is lost unless the model scores it
    otherwise beside others. Raises `RerankerError`.
    """
    places = list(range(len(documents)))
    while True:
        parts = list(limits.parts(documents, places))
        try:
            if len(parts) == 1:
                return _placed(ask([documents[place] for place in places], top_n), places)
            best = _best(ask, documents, parts, top_n)
        except RerankerError as error:
            longest = max(map(len, parts))
            if error.status != _TOO_LARGE or longest == 1:
                raise
            limits = replace(limits, documents=longest // 2)
            continue
        if len(best) == len(places):
            raise RequestError(
                f"one request takes {max(map(len, parts)):,} of these documents, so their best "
                f"{top_n or 1:,} cannot be found in rounds; ask for fewer, or shorten them"
            )
        places = best


def _best(
    ask: Ask, documents: Sequence[str], parts: Sequence[Sequence[int]], top_n: int | None
) -> list[int]:
    """Places of the best of each part, in the order of the input."""
    # Without a number, as many as one more request takes.
    kept = top_n or max(1, max(map(len, parts)) // len(parts))
    best: list[int] = []
    for part in parts:
        results = ask([documents[place] for place in part], min(kept, len(part)))
        best += sorted(part[result.index] for result in results)
    return best


def _placed(results: Results, places: Sequence[int]) -> Results:
    """`results` of documents at `places`, as if all had been ranked."""
    placed = Results(replace(result, index=places[result.index]) for result in results)
    placed.total_tokens = results.total_tokens
    placed.truncated = [places[index] for index in results.truncated]
    return placed
