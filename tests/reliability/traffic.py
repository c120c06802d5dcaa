"""Mixed requests whose right answers are known, and clients that send them."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.reliability.hostile import CONTROL, DIRECTION, NESTED, PLAIN, TEMPLATE
from toolkit import tiny_model
from toolkit.running import Service, wait_until
from toolkit.tokenizer import SPECIAL_TOKENS

TOLERANCE = 1e-4
TIMEOUT_SECONDS = 120
PAUSE_SECONDS = 0.1
_PIECES = (*PLAIN * 8, *SPECIAL_TOKENS, *TEMPLATE, *NESTED, *CONTROL, *DIRECTION)
_PATHS = ("/rerank", "/v1/rerank", "/v2/rerank", "tei")
_ERRORS = (429, 503, 504)


@dataclass(frozen=True)
class Question:
    """One request, the score of each of its documents, and how many results it asks for."""

    path: str
    body: dict[str, Any]
    scores: tuple[float, ...]
    top_n: int

    def is_answered_by(self, response: httpx.Response) -> bool:
        """Whether the results are the best documents, best first, with their known scores."""
        if response.status_code != 200:
            return False
        results = _results(response)
        indexes = [index for index, _ in results]
        scores = [score for _, score in results]
        best = sorted(self.scores, reverse=True)[: self.top_n]
        return (
            len(set(indexes)) == len(results) == len(best)
            and scores == sorted(scores, reverse=True)
            and np.allclose(scores, best, rtol=0, atol=TOLERANCE)
            and np.allclose(scores, [self.scores[i] for i in indexes], rtol=0, atol=TOLERANCE)
        )


@contextmanager
def tiny_service(**variables: str) -> Iterator[Service]:
    """The service with the tiny model."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_model.make().write(Path(folder))
        with Service(Path(folder), **variables) as service:
            yield service


def known_questions(url: str, count: int, seed: int = 0) -> list[Question]:
    """So many different requests, with the scores that the service at `url` gives to each alone."""
    source = random.Random(seed)
    questions = []
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as client:
        for _ in range(count):
            dialect = source.choice(_PATHS)
            key = "texts" if dialect == "tei" else "documents"
            documents = [_text(source) for _ in range(source.choice((1, 2, 3, 5, 8, 13)))]
            body: dict[str, Any] = {"query": "query " + _text(source), key: documents}
            path = "/rerank" if dialect == "tei" else dialect
            results = _results(client.post(path, json=body).raise_for_status())
            scores = tuple(score for _, score in sorted(results))
            top_n = len(documents)
            if dialect != "tei" and source.random() < 0.3:
                body["top_n"] = top_n = source.randint(1, len(documents))
            questions.append(Question(path, body, scores, top_n))
    return questions


@dataclass
class Outcomes:
    """What became of requests.

    `counts` has right answers as `right`, clear errors by their status, and all else as `wrong`,
    which `wrong` describes. `answers` are the right ones: when each came, and its seconds.
    """

    counts: Counter[str] = field(default_factory=Counter)
    answers: list[tuple[float, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Requests that have ended."""
        return self.counts.total()


class Load:
    """Clients that ask at random, each as soon as it has an answer, while the context lasts."""

    def __init__(self, url: str, questions: Sequence[Question], clients: int) -> None:
        self.outcomes = Outcomes()
        self._url = url
        self._questions = questions
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask_until_end, args=(random.Random(seed),))
            for seed in range(clients)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, outcome: str, count: int) -> None:
        """Wait until `count` more requests have ended as `outcome`."""
        counts = self.outcomes.counts
        target = counts[outcome] + count
        wait_until(lambda: counts[outcome] >= target)

    def _ask_until_end(self, source: random.Random) -> None:
        with httpx.Client(base_url=self._url, timeout=TIMEOUT_SECONDS) as client:
            while not self._ended.is_set():
                outcome = self._ask(client, source.choice(self._questions))
                with self._lock:
                    self.outcomes.counts[outcome] += 1
                if outcome != "right":
                    self._ended.wait(PAUSE_SECONDS)

    def _ask(self, client: httpx.Client, question: Question) -> str:
        start = time.monotonic()
        try:
            response = client.post(question.path, json=question.body)
        except httpx.HTTPError as error:
            self.outcomes.wrong.append(f"no answer: {error!r}")
            return "wrong"
        end = time.monotonic()
        if question.is_answered_by(response):
            self.outcomes.answers.append((end, end - start))
            return "right"
        if _is_clear_error(response):
            return str(response.status_code)
        self.outcomes.wrong.append(f"{response.status_code} {response.text[:500]}")
        return "wrong"


def _text(source: random.Random) -> str:
    return "".join(source.choices(_PIECES, k=source.choice((1, 3, 10, 30))))


def _results(response: httpx.Response) -> list[tuple[int, float]]:
    """(index, score) of each result, in whatever dialect."""
    answer = response.json()
    if isinstance(answer, list):
        return [(result["index"], result["score"]) for result in answer]
    return [(result["index"], result["relevance_score"]) for result in answer["results"]]


def _is_clear_error(response: httpx.Response) -> bool:
    if response.status_code not in _ERRORS:
        return False
    answer = response.json()
    return bool(answer.get("detail") or answer.get("message") or answer.get("error"))
