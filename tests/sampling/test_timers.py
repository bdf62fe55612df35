"""Many deadlines, one timer."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.sampling._timers import Alarm, Sleeper
from tests.helpers.sampling import virtual_loop

INF = float("inf")


class Person:
    def __init__(self, wake_at: float) -> None:
        self.wake_at = wake_at


class Bedroom:
    """An alarm, and a record of who was woken when. Whoever was woken sleeps for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.woken: list[tuple[float, Sleeper]] = []
        self.alarm = Alarm(loop, self.wake)

    def wake(self, sleeper: Sleeper, now: float) -> None:
        self.woken.append((now, sleeper))
        sleeper.wake_at = INF


@pytest.mark.virtual_time
async def test_sleepers_are_woken_at_their_time_in_order() -> None:
    room = Bedroom(asyncio.get_running_loop())
    late, early, never = Person(2.0), Person(1.0), Person(INF)
    for sleeper in (late, early, never):
        room.alarm.watch(sleeper)
    await asyncio.sleep(5)
    assert room.woken == [(1.0, early), (2.0, late)]
    await asyncio.sleep(80_000)
    assert len(room.woken) == 2


@pytest.mark.virtual_time
async def test_a_time_that_moved_back_is_found_out_when_the_old_one_comes() -> None:
    room = Bedroom(asyncio.get_running_loop())
    sleeper = Person(1.0)
    room.alarm.watch(sleeper)
    sleeper.wake_at = 3.0
    room.alarm.watch(sleeper)
    await asyncio.sleep(5)
    assert room.woken == [(3.0, sleeper)]


@pytest.mark.virtual_time
async def test_a_time_that_moved_forward_is_watched_again() -> None:
    room = Bedroom(asyncio.get_running_loop())
    sleeper = Person(3.0)
    room.alarm.watch(sleeper)
    sleeper.wake_at = 1.0
    room.alarm.watch(sleeper)
    await asyncio.sleep(2)
    assert room.woken == [(1.0, sleeper)]
    sleeper.wake_at = 2.5
    room.alarm.watch(sleeper)
    await asyncio.sleep(5)
    assert room.woken == [(1.0, sleeper), (2.5, sleeper)]


@pytest.mark.virtual_time
async def test_who_is_forgotten_is_not_woken() -> None:
    room = Bedroom(asyncio.get_running_loop())
    sleeper, other = Person(1.0), Person(1.0)
    room.alarm.watch(sleeper)
    room.alarm.watch(other)
    room.alarm.forget(sleeper)
    await asyncio.sleep(5)
    assert room.woken == [(1.0, other)]


@pytest.mark.virtual_time
async def test_the_forgotten_are_taken_out_when_they_are_many() -> None:
    room = Bedroom(asyncio.get_running_loop())
    keep = [Person(60_000.0 + n) for n in range(10)]
    for sleeper in keep:
        room.alarm.watch(sleeper)
    # One that is in the heap for two times.
    keep[0].wake_at = 50_000.0
    room.alarm.watch(keep[0])
    for _ in range(500):
        sleeper = Person(70_000.0)
        room.alarm.watch(sleeper)
        room.alarm.forget(sleeper)
    assert len(room.alarm._heap) < 150
    await asyncio.sleep(80_000)
    assert [sleeper for _, sleeper in room.woken] == keep
    assert room.alarm._heap == []


@pytest.mark.virtual_time
async def test_a_closed_alarm_rings_no_more() -> None:
    room = Bedroom(asyncio.get_running_loop())
    room.alarm.close()
    room.alarm.watch(Person(1.0))
    room.alarm.close()
    await asyncio.sleep(5)
    assert room.woken == []


@pytest.mark.virtual_time
async def test_a_sleeper_may_be_given_a_new_time_as_it_is_woken() -> None:
    loop = asyncio.get_running_loop()
    woken: list[float] = []

    def wake(sleeper: Sleeper, now: float) -> None:
        woken.append(now)
        sleeper.wake_at = now + 1.0 if len(woken) < 3 else INF

    alarm = Alarm(loop, wake)
    alarm.watch(Person(1.0))
    await asyncio.sleep(10)
    assert woken == [1.0, 2.0, 3.0]


steps = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(["move", "forget"]),
        st.integers(0, 4),
        st.integers(1, 40),
    ),
    max_size=40,
)


@given(steps)
def test_whatever_moves_everybody_is_woken_at_the_last_time_given(
    steps: list[tuple[int, str, int, int]],
) -> None:
    with virtual_loop() as loop:

        async def play() -> None:
            room = Bedroom(loop)
            people = [Person(INF) for _ in range(5)]
            expected: list[tuple[float, int]] = []
            for pause, what, who, delay in steps:
                before = loop.time()
                await asyncio.sleep(pause)
                expected += [
                    (p.due, i)  # type: ignore[attr-defined]
                    for i, p in enumerate(people)
                    if before < getattr(p, "due", INF) <= loop.time()
                ]
                sleeper = people[who]
                sleeper.wake_at = INF if what == "forget" else loop.time() + delay + 0.5
                sleeper.due = sleeper.wake_at  # type: ignore[attr-defined]
                if what == "forget":
                    room.alarm.forget(sleeper)
                else:
                    room.alarm.watch(sleeper)
            before = loop.time()
            await asyncio.sleep(100)
            expected += [
                (p.due, i)  # type: ignore[attr-defined]
                for i, p in enumerate(people)
                if before < getattr(p, "due", INF) < INF
            ]
            seen = sorted((when, people.index(sleeper)) for when, sleeper in room.woken)  # type: ignore[arg-type]
            assert seen == sorted(expected)

        loop.run_until_complete(play())
