"""Clients that go: their strategies end in short pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.sampling import SamplingTable, _leavers
from katcp.sampling._leavers import PIECE, Leavers
from katcp.sensors import Sensor
from tests.helpers.sampling import Listener, sample


class Clock:
    """Moves a given step each time it is looked at."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


async def ended_by_turn(
    monkeypatch: pytest.MonkeyPatch, step: float, clients: dict[str, int]
) -> list[list[tuple[str, int]]]:
    """Let clients with so many strategies go; return what was ended in each turn."""
    monkeypatch.setattr(_leavers, "time", Clock(step))
    turns: list[list[tuple[str, int]]] = [[]]
    leavers = Leavers(
        asyncio.get_running_loop(), lambda client, some: turns[-1].append((client, len(some)))
    )
    for client, count in clients.items():
        leavers.add(client, list(range(count)))
    total = sum(clients.values())
    while sum(count for turn in turns for _, count in turn) < total:
        turns.append([])
        await asyncio.sleep(0)
    leavers.close()
    return turns


async def test_what_fits_in_a_turn_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ended_by_turn(monkeypatch, 0.0, {"a": 3, "b": 2 * PIECE}) == [
        [("a", 3), ("b", PIECE), ("b", PIECE)]
    ]


async def test_what_does_not_fit_is_done_in_later_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = await ended_by_turn(monkeypatch, 0.004, {"a": 2 * PIECE + 1, "b": 1, "c": 1})
    assert [entry for turn in turns for entry in turn] == [
        ("a", PIECE),
        ("a", PIECE),
        ("a", 1),
        ("b", 1),
        ("c", 1),
    ]
    assert all(len(turn) <= 1 for turn in turns)


@pytest.mark.virtual_time
async def test_a_client_with_very_many_strategies_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leavers, "PIECE", 10)
    monkeypatch.setattr(_leavers, "time", Clock(0.003))
    loop = asyncio.get_running_loop()
    table = SamplingTable(loop, 5)
    sensors = [Sensor.integer(f"s{number}") for number in range(50)]
    gone: Any = Listener(loop)
    stays = Listener(loop)
    for sensor in sensors:
        sample(table, gone, "event", sensor)
        sample(table, stays, "event", sensor)
    gone.closed = True
    table.clear(gone)
    assert 0 < len(table.sensors_of(gone)) < 50
    removed = table.sensors_of(gone)[0]
    table.drop_sensor(removed)
    table.clear(gone)  # a server does so twice
    stays.seen.clear()
    gone.seen.clear()
    for _ in range(50):
        await asyncio.sleep(0)
    assert table.sensors_of(gone) == []
    assert table.sensors_of(stays) == [sensor for sensor in sensors if sensor is not removed]
    for sensor in sensors:
        sensor.set_value(7)
    await asyncio.sleep(0.01)
    assert gone.seen == []
    assert len(stays.seen) == 49
    table.clear(stays)
    assert not any(sensor._observers for sensor in sensors)


@pytest.mark.virtual_time
async def test_closing_the_table_ends_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_leavers, "PIECE", 10)
    monkeypatch.setattr(_leavers, "time", Clock(0.003))
    loop = asyncio.get_running_loop()
    table = SamplingTable(loop, 5)
    sensors = [Sensor.integer(f"s{number}") for number in range(50)]
    gone: Any = Listener(loop)
    for sensor in sensors:
        sample(table, gone, "auto", sensor)
    gone.closed = True
    table.clear(gone)
    assert table.sensors_of(gone)
    table.close()
    assert table.sensors_of(gone) == []
    assert not any(sensor._observers for sensor in sensors)
