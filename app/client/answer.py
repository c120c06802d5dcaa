"""What a server answered, and whether it is a ranking."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .errors import RerankerError, TooLate

_REASON_CHARACTERS = 500


@dataclass(frozen=True)
class Result:
    """A document's place; `index` is its position in the request, the score within −1…1.

    Of a document that was split, `passage` is the text that the score is of.
    """

    index: int
    relevance_score: float
    passage: str | None = None


class Results(list[Result]):
    """Results, best first, and what the server says of them, if it does.

    It has read `total_tokens`, and the documents at the indices `truncated` only in part. Those at
    the indices `unranked`, the last ones, were left out for lack of time.
    """

    total_tokens: int | None = None
    truncated: Sequence[int] = ()
    unranked: Sequence[int] = ()


@dataclass(frozen=True)
class Answer:
    """Of a server, whole; an error that `is_late` is for lack of time."""

    status: int
    content: bytes
    retry_after: str
    is_late: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def results(self, documents: int, count: int | None, partial: bool = False) -> Results | None:
        """The `count` best results of so many documents, or all, or None: it is no ranking.

        If `partial`, the last documents may be left out.
        """
        # What JSON can hold is without end: too deep, too long, of other types, not finite.
        try:
            answer = json.loads(self.content)
            results = Results(_result(item) for item in answer["results"])
        except Exception:
            return None
        results.unranked = _indices(answer, "unranked") if partial else ()
        ranked = documents - len(results.unranked)
        places = {result.index for result in results}
        wanted = min(ranked, count or ranked)
        fits = len(results) == len(places) == wanted and places <= set(range(ranked))
        results.total_tokens = _total_tokens(answer)
        results.truncated = _indices(answer, "truncated")
        return results if fits else None

    def refusal(self, server: str, secret: str) -> RerankerError:
        """What an answer without success says, without `secret` should it repeat that."""
        text = self._reason()
        if secret:
            text = text.replace(secret, "…")
        shown = "".join(c if c.isprintable() else " " for c in text[:_REASON_CHARACTERS])
        seconds = self.retry_after.strip()
        kind = TooLate if self.is_late else RerankerError
        return kind(
            f"{server} answered {self.status}: {' '.join(shown.split()) or 'no reason told'}",
            self.status,
            float(seconds) if seconds.isdecimal() else None,
        )

    def _reason(self) -> str:
        try:
            return str(json.loads(self.content)["detail"])
        except Exception:
            return self.content.decode(errors="replace")


def _total_tokens(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int else None


def _indices(answer: dict[str, Any], name: str) -> list[int]:
    told = answer.get(name)
    return [index for index in told if type(index) is int] if isinstance(told, list) else []


def _result(item: Any) -> Result:
    index, score = item["index"], item["relevance_score"]
    if type(index) is not int or type(score) not in (int, float) or not math.isfinite(score):
        raise ValueError("no result")
    passage = item.get("passage")
    text = passage.get("text") if isinstance(passage, dict) else None
    return Result(index, float(score), text if isinstance(text, str) else None)
