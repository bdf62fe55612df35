"""How many complaints there are in a second."""

from __future__ import annotations

import asyncio

import pytest

from katcp.server._complaints import SPAN, Complaints

pytestmark = pytest.mark.virtual_time


def make(most: int) -> tuple[Complaints, list[tuple[float, int]]]:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    told: list[tuple[float, int]] = []
    complaints = Complaints(loop, most, lambda n: told.append((round(loop.time() - begun, 3), n)))
    return complaints, told


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 100])
async def test_so_many_and_then_the_number_of_the_others(count: int) -> None:
    complaints, told = make(3)
    allowed = [complaints.allow() for _ in range(count)]
    assert allowed == [True] * min(count, 3) + [False] * (count - 3)
    await asyncio.sleep(SPAN - 0.01)
    assert told == []
    await asyncio.sleep(0.02)
    assert told == ([(SPAN, count - 3)] if count > 3 else [])


async def test_the_second_begins_with_the_first_and_then_anew() -> None:
    complaints, told = make(2)
    await asyncio.sleep(5)
    assert complaints.allow()
    await asyncio.sleep(0.9)
    assert [complaints.allow() for _ in range(3)] == [True, False, False]
    await asyncio.sleep(0.2)  # 1.1 s after the first
    assert told == [(6, 2)]
    assert [complaints.allow() for _ in range(3)] == [True, True, False]
    await asyncio.sleep(2)
    assert told == [(6, 2), (7.1, 1)]


async def test_few_are_never_left_out() -> None:
    complaints, told = make(2)
    for _ in range(20):
        assert complaints.allow()
        await asyncio.sleep(0.5)
    assert told == []


async def test_none_at_all() -> None:
    complaints, told = make(0)
    assert [complaints.allow() for _ in range(4)] == [False] * 4
    await asyncio.sleep(1.1)
    assert told == [(1, 4)]


async def test_nothing_is_told_after_the_end() -> None:
    complaints, told = make(0)
    complaints.stop()  # before there was anything
    complaints.allow()
    complaints.stop()
    await asyncio.sleep(2)
    assert told == []
