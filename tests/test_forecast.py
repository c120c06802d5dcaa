"""How long a request is expected to take: by hand, and from measurements of a known law."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from app.schedule import Course, Schedule
from app.speed import Speed
from models.llama.slots import COURTESY, SlotPool
from models.work import common_prompts, single_prompts

# Seconds of a turn, a token, a pair of tokens and a call.
LAW = np.array([0.05, 2e-3, 3e-7, 0.01])


def terms(*requests: tuple[int, int]) -> np.ndarray:
    """Of requests of so many tokens and calls, each in one turn."""
    return np.array([[1, tokens, tokens**2, calls] for tokens, calls in requests], float)


def test_speed_is_learnt_from_what_was_measured() -> None:
    source = np.random.default_rng(0)
    speed = Speed()
    for _ in range(200):
        tokens, calls = np.exp(source.uniform((4, 0), (9, 4.6))).astype(int)
        (request,) = terms((tokens, calls))
        speed.learn(request, float(request @ LAW * source.uniform(0.9, 1.1)))

    asked = terms((100, 1), (1000, 100), (8000, 3))

    assert speed.seconds(asked) == pytest.approx(asked @ LAW, rel=0.15)


def test_speed_follows_a_machine_that_slows_down() -> None:
    speed = Speed()
    for factor in (1.0, 3.0):
        for tokens in range(100, 20_100, 100):
            (request,) = terms((tokens % 3000 + 100, 5))
            speed.learn(request, float(request @ LAW) * factor)

    assert speed.seconds(terms((1000, 5))) == pytest.approx(3 * terms((1000, 5)) @ LAW, rel=0.1)


def test_nothing_is_known_before_enough_was_measured() -> None:
    speed = Speed()
    for _ in range(4):
        speed.learn(terms((100, 1))[0], 1.0)

    assert speed.seconds(terms((100, 1))) is None


def test_of_like_requests_time_grows_with_the_tokens() -> None:
    speed = Speed()
    for _ in range(20):
        speed.learn(terms((100, 1))[0], 1.0)

    assert speed.seconds(terms((100, 1), (1000, 10))) == pytest.approx([1, 10], rel=0.05)


@pytest.mark.parametrize(
    ("slots", "others", "expected"),
    [
        (1, [], (0, 3)),
        # One runs since 2 s and has 3 more, one waits.
        (1, [Course([5], 90, begun=[98]), Course([4], 99)], (7, 10)),
        (2, [Course([5], 90, begun=[98]), Course([4], 99)], (3, 6)),
        # Its second turn comes after ours.
        (1, [Course([5, 9], 90, begun=[98])], (3, 6)),
        # Whoever lets others pass, ours passes; not who has let them pass long enough.
        (1, [Course([5], 90, begun=[98]), Course([4], 99, courtesy=30)], (3, 6)),
        (1, [Course([5], 90, begun=[98]), Course([4], 60, courtesy=30)], (7, 10)),
        # Two turns at a time take both slots; one that takes too long is about to end.
        (2, [Course([4, 4, 4], 90, at_once=2, begun=[99, 99])], (3, 6)),
        (1, [Course([10], 50, begun=[60])], (1, 4)),
        # The first of these has ended, its next turn is due; of the second a tenth may be left.
        (1, [Course([2, 7], 90, begun=[90]), Course([8], 91, begun=[92])], (7.8, 10.8)),
    ],
)
def test_schedule(slots: int, others: list[Course], expected: tuple[float, float]) -> None:
    times = Schedule(slots, 100, others).times(Course([3], 100))

    assert times == pytest.approx(expected)


def test_schedule_of_turns_at_once() -> None:
    times = Schedule(2, 100, []).times(Course([1, 2, 3, 4], 100, at_once=2))

    # 1 and then 3 at one slot, 2 and then 4 at the other.
    assert times == (0, 6)


def test_work_of_prompts_with_documents_in_a_row() -> None:
    # Documents end after 10 and 30 tokens, the query after 35; then one ends after 20, at 24.
    work = common_prompts([[10, 30, 35], [20, 24]], known=[4, 22])

    assert work.by_turn().tolist() == [
        [1, 31, 35**2 - 4**2, 3],
        [1, 2, 24**2 - 22**2, 1],
    ]
    assert work.reused == 26
    assert work.leading(1).by_turn().tolist() == [[1, 6 + 5, 10**2 - 4**2 + 35**2 - 30**2, 2]]
    assert work.leading(3).by_turn().tolist() == work.by_turn().tolist()


def test_work_of_prompts_with_a_document_each() -> None:
    work = single_prompts([50, 60, 70], [0, 40, 0], [0, 1, 2], [0, 0, 1], at_once=2)

    assert work.by_turn().tolist() == [
        [1, 70, 50**2 + 60**2 - 40**2, 2],
        [1, 70, 70**2, 1],
    ]
    assert work.leading(1).by_turn().tolist() == [[1, 50, 50**2, 1]]
    # The last two are passages of one document.
    assert work.of([0, 1, 1]).leading(2).by_turn().tolist() == work.by_turn().tolist()
    assert work.of([0, 1, 1]).leading(1).by_turn().tolist() == [[1, 50, 50**2, 1]]


@pytest.mark.anyio
async def test_courtesy_lets_others_pass_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pool = SlotPool(1)
    order: list[str] = []

    async def work(name: str, courtesy: float) -> None:
        COURTESY.set(courtesy)
        async with pool.lease(np.array([1])):
            order.append(name)

    async with pool.lease(np.array([1])):
        tasks = []
        for name, arrival, courtesy in (
            ("low", 0, 30),
            ("lower", 1, 30),
            ("soon", 20, 0),
            ("late", 40, 0),
        ):
            now = arrival
            tasks.append(asyncio.create_task(work(name, courtesy)))
            await asyncio.sleep(0)
        assert pool.waiting == 4
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        assert pool.waiting == 3
    await asyncio.gather(*tasks, return_exceptions=True)

    assert order == ["soon", "low", "late"]
    assert pool.waiting == 0
