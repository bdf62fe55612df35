import asyncio

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

from katcp.aio import AsyncState


def test_the_first_state_is_the_initial_one() -> None:
    state = AsyncState(["up", "down"])
    assert state.state == "up"
    assert state.valid_states == frozenset(["up", "down"])
    assert AsyncState(["up", "down"], "down").state == "down"


def test_states_that_there_are_not() -> None:
    with pytest.raises(ValueError, match="sideways"):
        AsyncState(["up", "down"], "sideways")
    state = AsyncState(["up", "down"])
    with pytest.raises(ValueError, match="sideways"):
        state.set_state("sideways")
    with pytest.raises(ValueError, match="sideways"):
        state.until_state("sideways")
    assert state.state == "up"


async def test_it_is_done_already_in_the_state() -> None:
    state = AsyncState(["up", "down"])
    assert state.until_state("up").done()
    assert state.until_state_in("down", "up").done()
    assert not state.until_state("down").done()


async def test_one_passage_through_the_state_is_enough() -> None:
    state = AsyncState(["up", "down", "gone"])
    future = state.until_state("down")
    either = state.until_state_in("down", "gone")
    state.set_state("down")
    state.set_state("up")
    assert await future is True
    assert await either is True


async def test_only_those_are_woken_who_wait_for_the_state() -> None:
    state = AsyncState(["up", "down", "gone"])
    down, gone = state.until_state("down"), state.until_state("gone")
    state.set_state("down")
    assert await down is True
    assert not gone.done()
    state.set_state("gone")
    assert await gone is True
    await asyncio.sleep(0)
    assert not state._waiting


async def test_timeouts() -> None:
    state = AsyncState(["up", "down"])
    with pytest.raises(TornadoTimeout, match="down"):
        await state.until_state("down", timeout=0)
    with pytest.raises(TornadoTimeout):
        await state.until_state_in("down", timeout=0.001)
    await asyncio.sleep(0)
    assert not state._waiting


async def test_failing_raises_in_those_who_wait() -> None:
    state = AsyncState(["up", "down"])
    future = state.until_state("down")
    state.fail(KeyError("over"))
    with pytest.raises(KeyError):
        await future


def test_a_loop_can_be_set_later(io_loop: IOLoop) -> None:
    state = AsyncState(["up", "down"])
    with pytest.raises(RuntimeError, match="No loop is running"):
        state.until_state("down")
    state.set_ioloop(io_loop)
    future = state.until_state("down")
    state.set_state("down")
    assert io_loop.asyncio_loop.run_until_complete(future) is True
