"""When requests that share the slots of llama-server will be done."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

# Of a turn that takes longer than it should, the share that is taken to be left.
_LEFT_OF_OVERDUE = 0.1


@dataclass(frozen=True)
class Course:
    """A request under way: the `seconds` of its turns, of which `at_once` ask for slots at a time.

    Its first turns have `begun` at these times. It came at the time `since`, and at each turn
    counts as come `courtesy` seconds later.
    """

    seconds: Sequence[float]
    since: float
    at_once: int = 1
    courtesy: float = 0.0
    begun: Sequence[float] = ()


class _Left:
    """What is left of a request: `asked` of its turns have begun or wait, so many are `open`."""

    def __init__(self, course: Course, running: int) -> None:
        self.course = course
        self.next = self.asked = len(course.begun)
        self.open = len(course.seconds) - self.next + running
        self.began: float | None = None


class Schedule:
    """Gives `slots` to the turns of requests as `SlotPool` does, from the time `now` on."""

    def __init__(self, slots: int, now: float, others: Sequence[Course]) -> None:
        """Place the `others`, in the order in which they came."""
        self._slots = slots
        self._now = now
        self._tickets = count()
        self._running: list[tuple[float, int, _Left]] = []
        self._waiting: list[tuple[float, int, _Left]] = []
        runs = self._runs(others)
        for course, ends in zip(others, runs, strict=True):
            left = _Left(course, len(ends))
            for end in ends:
                heapq.heappush(self._running, (end, next(self._tickets), left))
            since = course.since
            if course.begun:
                since = min(course.begun[-1] + course.seconds[len(course.begun) - 1], now)
            for _ in range(course.at_once - len(ends)):
                self._ask(left, since)

    def _runs(self, others: Sequence[Course]) -> list[list[float]]:
        """When the turns that run now will end: the last ones to begin, as many as have slots."""
        begun = [
            (course.begun[turn], number, turn)
            for number, course in enumerate(others)
            for turn in range(len(course.begun))[-course.at_once :]
        ]
        ends: list[list[float]] = [[] for _ in others]
        for began, number, turn in sorted(begun)[-self._slots :]:
            seconds = others[number].seconds[turn]
            ends[number].append(max(began + seconds, self._now + _LEFT_OF_OVERDUE * seconds))
        return ends

    def times(self, course: Course) -> tuple[float, float]:
        """Seconds until the first turn of `course` begins, and until its last one ends.

        It comes now, and this schedule is used up.
        """
        wanted = _Left(course, 0)
        for _ in range(course.at_once):
            self._ask(wanted, self._now)
        time = self._now
        while wanted.open:
            while self._waiting and len(self._running) < self._slots:
                self._begin(heapq.heappop(self._waiting)[2], time)
            time, _, ended = heapq.heappop(self._running)
            ended.open -= 1
            self._ask(ended, time)
        assert wanted.began is not None
        return wanted.began - self._now, time - self._now

    def _ask(self, left: _Left, since: float) -> None:
        """Have the next turn wait, if there is one."""
        if left.asked < len(left.course.seconds):
            left.asked += 1
            ticket = since + left.course.courtesy, next(self._tickets)
            heapq.heappush(self._waiting, (*ticket, left))

    def _begin(self, left: _Left, time: float) -> None:
        end = time + left.course.seconds[left.next]
        left.next += 1
        left.began = time if left.began is None else left.began
        heapq.heappush(self._running, (end, next(self._tickets), left))
