"""When bytes are written: the schedule that connections share."""

from __future__ import annotations

import asyncio

import pytest

from katcp.transport import Pump
from katcp.transport._pump import FLUSH_AT_ONCE, READ_SIZE, _reads_ahead


class Recorder:
    """Takes note of its flushes."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self.order = order

    def flush(self) -> None:
        self.order.append(self.name)


@pytest.mark.virtual_time
async def test_soon_is_the_end_of_the_turn() -> None:
    order: list[str] = []
    pump = Pump(asyncio.get_running_loop(), 0.001)
    pump.flush_soon(Recorder("a", order))
    pump.flush_soon(Recorder("b", order))
    assert order == []
    await asyncio.sleep(0)
    assert order == ["a", "b"]
    pump.flush_soon(Recorder("c", order))
    await asyncio.sleep(0)
    assert order == ["a", "b", "c"]


@pytest.mark.virtual_time
async def test_later_is_one_timer_for_all() -> None:
    order: list[str] = []
    pump = Pump(asyncio.get_running_loop(), 0.5)
    pump.flush_later(Recorder("a", order))
    await asyncio.sleep(0.4)
    pump.flush_later(Recorder("b", order))
    assert order == []
    await asyncio.sleep(0.1)
    assert order == ["a", "b"]
    pump.flush_later(Recorder("c", order))
    await asyncio.sleep(0.4)
    assert order == ["a", "b"]
    await asyncio.sleep(0.1)
    assert order == ["a", "b", "c"]


@pytest.mark.virtual_time
async def test_without_coalescing_later_is_soon() -> None:
    order: list[str] = []
    pump = Pump(asyncio.get_running_loop(), 0)
    pump.flush_later(Recorder("a", order))
    assert order == []
    await asyncio.sleep(0)
    assert order == ["a"]


@pytest.mark.virtual_time
async def test_what_is_asked_for_while_flushing_comes_in_the_next_turn() -> None:
    order: list[str] = []
    pump = Pump(asyncio.get_running_loop())

    class Again(Recorder):
        def flush(self) -> None:
            super().flush()
            if len(order) < 3:
                pump.flush_soon(self)

    pump.flush_soon(Again("x", order))
    await asyncio.sleep(0)
    assert order == ["x"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["x", "x", "x"]


async def test_connections_of_a_selector_loop_share_one_buffer() -> None:
    loop = asyncio.get_running_loop()
    pump = Pump(loop)
    assert not _reads_ahead(loop)
    assert len(pump.read_buffer()) == READ_SIZE
    assert pump.read_buffer() is pump.read_buffer()


async def test_where_reads_are_begun_ahead_each_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    # There are such loops on Windows only; any class stands for theirs.
    monkeypatch.setattr(asyncio, "ProactorEventLoop", type(loop), raising=False)
    pump = Pump(loop)
    first, second = pump.read_buffer(), pump.read_buffer()
    first[0] = 1
    assert second[0] == 0


@pytest.mark.virtual_time
@pytest.mark.parametrize("later", [False, True])
async def test_very_many_connections_are_written_to_in_several_turns(later: bool) -> None:
    order: list[str] = []
    pump = Pump(asyncio.get_running_loop())
    count = 3 * FLUSH_AT_ONCE + 1
    names = [str(number) for number in range(count)]
    for name in names:
        recorder = Recorder(name, order)
        if later:
            pump.flush_later(recorder)
        else:
            pump.flush_soon(recorder)
    turns = []
    while len(order) < count:
        await asyncio.sleep(0)
        turns.append(len(order))
    assert turns == [FLUSH_AT_ONCE, 2 * FLUSH_AT_ONCE, 3 * FLUSH_AT_ONCE, count]
    assert order == names
