"""When a request will be done, from those under way and from how fast others were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from app.schedule import Course, Schedule
from app.speed import Floats, Speed
from models.rerank import Ranking, Work

# What is known before texts are counted may be too much by as much again.
_CERTAIN = 0.5
# Parts that the work of a request is looked at in: a schedule of more would take longer to make.
_MOST_PARTS = 16
_NOTHING = np.zeros((1, 4))


@dataclass(frozen=True)
class Expected:
    """Seconds from now until the first turn of a request begins, and until the last one ends."""

    wait: float
    total: float

    @property
    def least(self) -> float:
        """What the total is at least, if the texts were not counted yet."""
        return self.wait + _CERTAIN * (self.total - self.wait)


class Forecast:
    """The requests under way at `slots` of llama-server, and how long their like took."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._speed = Speed()
        self._glances = Speed()
        self._jobs: list[Job] = []

    @contextmanager
    def job(self, courtesy: float) -> Iterator[Job]:
        """A request that lets those pass that come up to `courtesy` seconds after it."""
        job = Job(self, courtesy)
        try:
            yield job
        finally:
            if job in self._jobs:
                self._jobs.remove(job)

    def enter(self, job: Job) -> None:
        """Count `job` as under way."""
        self._jobs.append(job)

    def expected(self, terms: Floats, at_once: int, courtesy: float) -> Expected | None:
        """Of turns of these `terms`, [turns, 4]; None before enough was measured."""
        now = time.monotonic()
        seconds = self._speed.seconds(terms)
        if seconds is None:
            return None
        others = [course for job in self._jobs if (course := self._course(job))]
        schedule = Schedule(self._slots, now, others)
        return Expected(*schedule.times(Course(seconds.tolist(), now, at_once, courtesy)))

    def learn(self, terms: Floats, seconds: float) -> None:
        """Take in that a request of these `terms`, [4], kept slots for `seconds` in all."""
        self._speed.learn(terms, seconds)

    def at_a_glance(self, sizes: Floats) -> Floats | None:
        """Seconds that texts of `sizes`, [rows, 4], take but for their wait, if that is known."""
        return self._glances.seconds(sizes)

    def learn_sizes(self, sizes: Floats, seconds: float) -> None:
        """Take in that texts of `sizes`, [4], took `seconds` but for their wait."""
        self._glances.learn(sizes, seconds)

    def _course(self, job: Job) -> Course | None:
        seconds = self._speed.seconds(job.parts)
        if seconds is None:
            return None
        return Course(seconds.tolist(), job.since, job.at_once, job.courtesy, job.begun)


class Job:
    """One request: what it is expected to take, and what of it has begun.

    `parts` are the terms, [parts, 4], of turns in a row, whose first ones have `begun`.
    """

    def __init__(self, forecast: Forecast, courtesy: float) -> None:
        self._forecast = forecast
        self._sizes = _NOTHING
        self._work: Work | None = None
        self._turns = 0
        self.courtesy = courtesy
        self.parts = _NOTHING
        self.since = 0.0
        self.at_once = 1
        self.begun: list[float] = []

    def glance(self, characters: Floats) -> list[Expected]:
        """What as many first documents would take, by the `characters` up to each, [documents].

        A guess, from requests of that size; empty before enough was measured.
        """
        count = len(characters)
        ones = np.ones(count)
        self._sizes = np.column_stack([ones, characters, 0 * ones, np.arange(count) + 1])
        seconds = self._forecast.at_a_glance(self._sizes)
        now = self._forecast.expected(_NOTHING, 1, self.courtesy)
        if seconds is None or now is None:
            return []
        return [Expected(now.wait, now.wait + each) for each in seconds.tolist()]

    def expected(self, work: Work) -> Expected | None:
        """What `work` would take from now on; None before enough was measured."""
        return self._forecast.expected(_parts(work), work.at_once, self.courtesy)

    def fitting(self, work: Work, seconds: float) -> int:
        """How many of the first documents are expected to be done in `seconds`."""
        fits, too_many = 0, int(work.documents.max()) + 1
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            expected = self.expected(work.leading(middle))
            if expected and expected.total > seconds:
                too_many = middle
            else:
                fits = middle
        return fits

    def wait_for_turn(self, work: Work) -> None:
        """Count the request as one that waits to do `work`."""
        self._work = work
        self.parts = _parts(work)
        self.at_once = work.at_once
        self.since = time.monotonic()
        self._forecast.enter(self)

    def begin(self) -> None:
        """Take in that a turn begins."""
        assert self._work
        part = self._turns * len(self.parts) // len(self._work.rests)
        # A turn that had to be taken again begins twice.
        if part == len(self.begun) < len(self.parts):
            self.begun.append(time.monotonic())
        self._turns += 1

    def done(self, ranking: Ranking) -> None:
        """Learn from the finished `ranking`."""
        if not self._work:
            return
        terms = self.parts.sum(axis=0)
        # The cache may have changed while it waited.
        more_reused = ranking.reused_tokens - self._work.reused
        terms[1:3] *= max(0.0, 1 - more_reused / max(terms[1], 1.0))
        lanes = min(self._work.at_once, len(self._work.rests))
        seconds = ranking.timings.model + ranking.timings.projector
        self._forecast.learn(terms, seconds * lanes)
        sizes = self._sizes[len(ranking.scores) - 1]
        self._forecast.learn_sizes(sizes, seconds + ranking.timings.tokenize)


def _parts(work: Work) -> Floats:
    """The terms of all turns, those that follow each other taken together if they are many."""
    terms = work.by_turn()
    if len(terms) <= _MOST_PARTS:
        return terms
    starts = -(-np.arange(_MOST_PARTS) * len(terms) // _MOST_PARTS)
    parts: Floats = np.add.reduceat(terms, starts)
    return parts
