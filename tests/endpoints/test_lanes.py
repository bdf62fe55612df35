"""Turns: never two at a time, in the order of arrival, whoever gives up."""

from __future__ import annotations

import asyncio
import contextvars
import random
from typing import Any

import pytest

from katcp.endpoints import Endpoint, Provider, RequestTimeoutError, StoreKey
from katcp.endpoints._lanes import Lane


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(50))
async def test_whoever_gives_up_the_others_have_their_turns(seed: int) -> None:
    chance = random.Random(seed)
    lane = Lane()
    inside = 0
    came: list[int] = []
    went_in: list[int] = []

    async def go(number: int, arrives: float, stays: float, again: bool) -> None:
        nonlocal inside
        await asyncio.sleep(arrives)
        came.append(number)
        async with lane.turn():
            went_in.append(number)
            inside += 1
            try:
                assert inside == 1
                await asyncio.sleep(stays)
                if again:
                    async with lane.turn():  # it is in already
                        await asyncio.sleep(stays)
                assert inside == 1
                if chance.random() < 0.1:
                    raise ValueError
            finally:
                inside -= 1

    def steps() -> float:
        return chance.randrange(6) * 1.0  # so that much happens at the same time

    tasks = [
        asyncio.create_task(go(number, steps(), steps(), chance.random() < 0.3))
        for number in range(30)
    ]
    for task in tasks:
        if chance.random() < 0.4:
            asyncio.get_running_loop().call_later(steps() * 3, task.cancel)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [one for one in results if isinstance(one, AssertionError)]
    done = [number for number, one in enumerate(results) if one is None]
    assert set(done) <= set(went_in)
    assert went_in == [number for number in came if number in set(went_in)]
    assert lane.free
    assert not lane._waiting


@pytest.mark.virtual_time
async def test_a_task_begun_in_a_turn_is_part_of_it_until_it_ends() -> None:
    lane = Lane()
    ready = asyncio.Event()

    async def later() -> bool:
        before = lane.free
        await ready.wait()
        assert lane.free == (not lane._taken)
        async with lane.turn():
            return before

    async with lane.turn():
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    other = contextvars.Context().run(asyncio.ensure_future, hold(lane))
    await asyncio.sleep(0)
    ready.set()
    assert await task
    assert other.done()


async def hold(lane: Lane) -> Any:
    async with lane.turn():
        await asyncio.sleep(1)


@pytest.mark.virtual_time
async def test_two_lanes_can_be_had_at_a_time() -> None:
    one, two = Lane(), Lane()
    async with one.turn(), two.turn():
        assert one.free
        assert two.free
        async with one.turn():
            assert not contextvars.Context().run(lambda: one.free)
            assert not contextvars.Context().run(lambda: two.free)
    assert contextvars.Context().run(lambda: one.free and two.free)


@pytest.mark.virtual_time
async def test_a_hook_that_never_ends_gives_its_place_up_in_the_end() -> None:
    class Bus(Provider):
        pass

    class Hangs(Endpoint):
        async def on_get(self) -> str:
            await asyncio.Event().wait()
            return "never"

    hangs, other = Hangs("hangs"), StoreKey("other", initial_value="1")
    Bus("bus", endpoints=[hangs, other])
    first = asyncio.ensure_future(hangs.read())
    await asyncio.sleep(1)
    second = asyncio.ensure_future(other.read())
    await asyncio.sleep(58)
    assert not first.done()
    assert not second.done()
    await asyncio.sleep(2)
    with pytest.raises(RequestTimeoutError, match=r"bus\.hangs did not answer within 60 s"):
        await first
    assert (await second).raw == "1"
