import asyncio
import gc

import pytest
from tornado import gen

from katcp.aio import WaitTimeout, future_timeout_manager, limit, with_timeout


def test_the_exception_is_the_one_that_users_of_tornado_catch() -> None:
    assert WaitTimeout is gen.TimeoutError


async def test_limit_of_zero_means_at_once() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    limit(future, 0)
    with pytest.raises(gen.TimeoutError, match="after 0 s"):
        await future


@pytest.mark.virtual_time
async def test_limit_of_none_means_for_ever() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    limit(future, None)
    await asyncio.sleep(20000)
    assert not future.done()


async def test_limit_leaves_alone_what_is_done() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(1)
    limit(future, 0)
    await asyncio.sleep(0.001)
    assert future.result() == 1


@pytest.mark.virtual_time
async def test_with_timeout_hands_on_results_and_exceptions() -> None:
    async def answer(value: object) -> object:
        await asyncio.sleep(1)
        if isinstance(value, Exception):
            raise value
        return value

    assert await with_timeout(answer(1), 2) == 1
    assert await with_timeout(answer(2), None) == 2
    with pytest.raises(KeyError):
        await with_timeout(answer(KeyError("x")), 2)


async def test_with_timeout_of_something_done() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(3)
    assert await with_timeout(future, 0) == 3


@pytest.mark.virtual_time
async def test_what_is_waited_for_goes_on_when_time_runs_out() -> None:
    ended = []

    async def slow() -> None:
        await asyncio.sleep(10)
        ended.append(True)
        raise ValueError("late, and of no interest")

    task = asyncio.ensure_future(slow())
    with pytest.raises(gen.TimeoutError, match="waiting for the slow one"):
        await with_timeout(task, 1, "the slow one")
    await asyncio.sleep(20)
    assert ended
    del task
    gc.collect()


@pytest.mark.virtual_time
async def test_cancelling_the_inner_one_cancels_the_outer_one() -> None:
    inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outer = with_timeout(inner, 5)
    inner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer


@pytest.mark.virtual_time
async def test_a_manager_spreads_one_limit_over_several_waits() -> None:
    within = future_timeout_manager(3)
    assert within.remaining() == 3
    await within(asyncio.ensure_future(asyncio.sleep(1)))
    assert within.remaining() == pytest.approx(2)
    await within(asyncio.ensure_future(asyncio.sleep(1)))
    with pytest.raises(gen.TimeoutError):
        await within(asyncio.get_running_loop().create_future())
    assert within.remaining() == 0
    with pytest.raises(gen.TimeoutError):
        await within(asyncio.get_running_loop().create_future())


@pytest.mark.virtual_time
async def test_a_manager_without_limit() -> None:
    within = future_timeout_manager()
    assert within.remaining() is None
    await within(asyncio.ensure_future(asyncio.sleep(20000)))
    assert future_timeout_manager(None).remaining() is None
