"""Periods: one grid for clients and sensors that can share it."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcp.sampling import SamplingTable
from katcp.sampling._periods import PeriodGroups
from katcp.sensors import NONE, Sensor
from tests.helpers.sampling import Listener, sample, virtual_loop

pytestmark = pytest.mark.virtual_time


def a_sensor(name: str = "s") -> Sensor:
    return Sensor.integer(name)


async def at(when: float) -> None:
    await asyncio.sleep(when - asyncio.get_running_loop().time())


def times(listener: Listener) -> list[float]:
    return [when for when, *_ in listener.seen]


async def test_ticks_lie_on_a_grid_without_drift() -> None:
    loop = asyncio.get_running_loop()
    table, listener = SamplingTable(loop, 5), Listener(loop)
    sample(table, listener, "period 0.1", a_sensor())
    await asyncio.sleep(1000.05)
    table.clear(listener)
    assert times(listener) == pytest.approx([n * 0.1 for n in range(10_001)], abs=1e-6)


async def test_each_tick_sends_the_present_reading() -> None:
    loop = asyncio.get_running_loop()
    table, listener = SamplingTable(loop, 5), Listener(loop)
    sensor = a_sensor()
    sample(table, listener, "period 1", sensor)
    sensor.set_value(1)
    sensor.set_value(2)
    await at(1.5)
    sensor.set_value(3)
    await at(2.5)
    table.clear(listener)
    assert listener.values() == ["0", "2", "3"]
    await at(9)
    assert listener.seen == []


async def test_ticks_that_were_missed_are_skipped() -> None:
    loop = asyncio.get_running_loop()
    table, listener = SamplingTable(loop, 5), Listener(loop)
    sample(table, listener, "period 0.5", a_sensor())
    await at(0.75)
    # Something blocks the loop; its clock goes on.
    loop._selector.clock.advance(2.0)  # type: ignore[attr-defined]
    await at(4.25)
    table.clear(listener)
    assert times(listener) == pytest.approx([0, 0.5, 2.75, 3.0, 3.5, 4.0])


async def test_clients_that_come_shortly_after_a_tick_share_the_grid() -> None:
    loop = asyncio.get_running_loop()
    table = SamplingTable(loop, 5)
    first, near, far = Listener(loop), Listener(loop), Listener(loop)
    sensor, other = a_sensor(), a_sensor("other")
    sample(table, first, "period 1", sensor)
    await at(3.004)
    sample(table, near, "period 1", other)
    await at(3.1)
    sample(table, far, "period 1", sensor)
    await at(5.5)
    for listener in (first, near, far):
        table.clear(listener)
    assert times(first) == pytest.approx([0, 1, 2, 3, 4, 5])
    assert times(near) == pytest.approx([3.004, 4, 5])
    assert times(far) == pytest.approx([3.1, 4.1, 5.1])


async def test_short_periods_share_only_within_a_twentieth() -> None:
    loop = asyncio.get_running_loop()
    table, first, second = SamplingTable(loop, 5), Listener(loop), Listener(loop)
    sample(table, first, "period 0.02", a_sensor())
    await at(0.062)
    sample(table, second, "period 0.02", a_sensor())
    await at(0.11)
    table.clear(first)
    table.clear(second)
    assert times(second) == pytest.approx([0.062, 0.082, 0.102])


async def test_other_periods_have_other_grids() -> None:
    loop = asyncio.get_running_loop()
    table, listener = SamplingTable(loop, 5), Listener(loop)
    sample(table, listener, "period 1", a_sensor("one"))
    sample(table, listener, "period 1.5", a_sensor("two"))
    await at(3.25)
    table.clear(listener)
    assert [when for when, name, *_ in listener.seen if name == "one"] == pytest.approx(
        [0, 1, 2, 3]
    )
    assert [when for when, name, *_ in listener.seen if name == "two"] == pytest.approx([0, 1.5, 3])


async def test_who_comes_at_the_moment_of_a_tick_is_not_told_twice() -> None:
    loop = asyncio.get_running_loop()
    groups = PeriodGroups(loop, 5)
    group = groups.join(1.0, loop.time())
    first = Listener(loop)
    group.add(first, a_sensor())
    # The tick of time 1 is due, but its callback has not run yet.
    assert groups.join(1.0, group.due) is not group
    await at(1.0)
    await asyncio.sleep(0.001)
    assert times(first) == [1.0]
    assert groups.join(1.0, loop.time()) is group


async def test_a_timer_that_runs_out_early_does_not_tick_twice() -> None:
    """Some loops have timers that are coarser than their clock."""

    class Hasty:
        """The loop, but timers run out half a millisecond early."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self.loop = loop
            self.time = loop.time

        def call_at(self, when: float, callback: object) -> asyncio.TimerHandle:
            return self.loop.call_at(when - 0.0005, callback)  # type: ignore[arg-type]

    loop = asyncio.get_running_loop()
    table, listener = SamplingTable(Hasty(loop), 5), Listener(loop)  # type: ignore[arg-type]
    sample(table, listener, "period 0.1", a_sensor())
    await at(1.05)
    table.clear(listener)
    assert times(listener) == pytest.approx([n * 0.1 for n in range(11)], abs=0.001)


async def test_a_group_without_members_ends() -> None:
    loop = asyncio.get_running_loop()
    groups = PeriodGroups(loop, 5)
    listener, other = Listener(loop), Listener(loop)
    one, two = a_sensor("one"), a_sensor("two")
    group = groups.join(1.0, loop.time())
    for sensor in (one, two):
        group.add(listener, sensor)
    group.add(other, one)
    group.remove(listener, one)
    await at(1.5)
    assert [name for _, name, *_ in listener.take()] == ["two"]
    assert [name for _, name, *_ in other.take()] == ["one"]
    group.remove(listener, two)
    await at(2.25)
    later = groups.join(1.0, loop.time())
    assert later is not group
    later.add(listener, one)
    group.remove(other, one)
    assert groups._groups == {1.0: [later]}
    later.remove(listener, one)
    assert groups._groups == {}
    listener.take()
    other.take()
    await at(9)
    assert listener.seen == other.seen == []


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 2), st.sampled_from(["1", "0.25", "none"])),
        max_size=15,
        unique_by=lambda join: join[:2],
    )
)
def test_grids_are_those_of_each_client_for_itself_within_five_milliseconds(
    drawn: list[tuple[int, int, str]],
) -> None:
    joins = sorted((centiseconds / 100, client, period) for centiseconds, client, period in drawn)
    end = 4.1
    with virtual_loop() as loop:

        async def play() -> list[Listener]:
            table, sensor = SamplingTable(loop, 5), a_sensor()
            listeners = [Listener(loop) for _ in range(3)]
            for when, client, period in joins:
                if when - loop.time() > 1e-6:
                    await asyncio.sleep(when - loop.time())
                strategy = period if period == "none" else f"period {period}"
                sample(table, listeners[client], strategy, sensor)
            await asyncio.sleep(end - loop.time())
            for listener in listeners:
                table.clear(listener)
            return listeners

        listeners = loop.run_until_complete(play())
    for client, listener in enumerate(listeners):
        mine = [(when, period) for when, who, period in joins if who == client]
        stops = [when for when, _ in mine[1:]] + [end]
        ticks = [
            (start + k * float(period), stop)
            for (start, period), stop in zip(mine, stops, strict=False)
            if period != "none"
            for k in range(20)
        ]
        # Where a strategy ends within a hair of a tick, either may come first.
        certain = [tick for tick, stop in ticks if tick < stop - 0.006]
        possible = [tick for tick, stop in ticks if tick < stop + 0.006]
        seen = times(listener)
        assert len(certain) <= len(seen) <= len(possible)
        for tick in certain:
            assert any(abs(when - tick) <= 0.0051 for when in seen), (tick, seen)
        for when in seen:
            assert any(abs(when - tick) <= 0.0051 for tick in possible), (when, possible)


def test_a_thousand_sensors_tick_in_one_pass() -> None:
    with virtual_loop() as loop:

        async def play() -> int:
            table, listener = SamplingTable(loop, 5), Listener(loop)
            sensors = [a_sensor(f"s{n}") for n in range(1000)]
            for sensor in sensors:  # one request each, as most clients do
                sample(table, listener, "period 1", sensor)
            assert len(table._periods._groups[1.0]) == 1
            await asyncio.sleep(10.5)
            table.clear(listener)
            return len(listener.seen)

        begun = time.process_time()
        assert loop.run_until_complete(play()) == 11_000
        assert time.process_time() - begun < 10


async def test_a_tick_of_many_sensors_lets_others_have_turns() -> None:
    loop = asyncio.get_running_loop()
    table, listener, other = SamplingTable(loop, 5), Listener(loop), Listener(loop)
    sensors = [a_sensor(f"s{n:05}") for n in range(10_000)]
    sample(table, listener, "period 1", *sensors)
    sample(table, other, "period 1", *sensors[:5000])
    listener.seen.clear()
    other.seen.clear()
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(listener.seen))
        if len(listener.seen) < 10_000:
            loop.call_soon(turn)

    loop.call_at(1.0, turn)
    await at(1.5)
    pieces = [after - before for before, after in itertools.pairwise(turns) if after > before]
    assert len(pieces) >= 2
    assert max(pieces) <= 4000
    assert [name for _, name, *_ in listener.seen] == [sensor.name for sensor in sensors]
    assert [name for _, name, *_ in other.seen] == [sensor.name for sensor in sensors[:5000]]
    table.clear(listener)
    table.clear(other)


async def test_who_leaves_during_a_tick_is_told_no_more() -> None:
    loop = asyncio.get_running_loop()
    table, listener, other = SamplingTable(loop, 5), Listener(loop), Listener(loop)
    sensors = [a_sensor(f"s{n:05}") for n in range(10_000)]
    sample(table, listener, "period 1", *sensors)
    sample(table, other, "period 1", *sensors)
    await at(1.0)
    told = len(listener.seen)
    assert 10_000 < told < 20_000  # of the present readings and of the first tick
    table.set(listener, [sensors[-1]], NONE)
    await at(1.1)
    assert [name for _, name, *_ in listener.seen[10_000:]] == [s.name for s in sensors[:-1]]
    assert len(other.seen) == 20_000
    await at(2.0)
    table.clear(listener)
    told = len(listener.seen)
    await at(4.5)
    assert len(listener.seen) == told
    assert len(other.seen) == 50_000
    table.clear(other)
