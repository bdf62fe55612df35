import asyncio
import gc

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

from katcp.aio import Waiters, done, failed


async def test_wake_gives_the_value_to_all_who_wait() -> None:
    waiters = Waiters()
    futures = [waiters.add(), waiters.add()]
    assert len(waiters) == 2
    waiters.wake("now")
    assert [await future for future in futures] == ["now", "now"]
    assert len(waiters) == 0


async def test_fail_raises_in_all_who_wait() -> None:
    waiters = Waiters()
    future = waiters.add()
    waiters.fail(ValueError("over"))
    with pytest.raises(ValueError, match="over"):
        await future


@pytest.mark.virtual_time
async def test_time_runs_out_for_one_and_not_for_the_other() -> None:
    waiters = Waiters()
    short, long = waiters.add(1, "rain"), waiters.add(3)
    with pytest.raises(TornadoTimeout, match="after 1 s waiting for rain"):
        await short
    assert len(waiters) == 1
    waiters.wake()
    assert await long is True


async def test_one_that_is_cancelled_is_forgotten() -> None:
    waiters = Waiters()
    future = waiters.add()
    future.cancel()
    await asyncio.sleep(0)
    assert len(waiters) == 0
    waiters.wake()


async def test_a_failure_that_nobody_looks_at_makes_no_noise() -> None:
    waiters = Waiters()
    waiters.add()
    waiters.fail(ValueError("over"))
    failed(ValueError("at once"))
    await asyncio.sleep(0)
    gc.collect()  # complaints would reach the loop, which the fixture of the tests looks after


async def test_waking_twice_in_one_turn_is_harmless() -> None:
    waiters = Waiters()
    future = waiters.add()
    waiters.wake(1)
    waiters.wake(2)
    waiters.fail(ValueError())
    assert await future == 1


async def test_done_and_failed_are_so_already() -> None:
    assert done(5).result() == 5
    assert isinstance(failed(KeyError("x")).exception(), KeyError)


def test_a_loop_can_be_given_where_none_runs(io_loop: IOLoop) -> None:
    waiters = Waiters()
    future = waiters.add(ioloop=io_loop)
    waiters.wake(7)
    assert io_loop.asyncio_loop.run_until_complete(future) == 7
