import asyncio
import threading

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

from katcp.aio import AsyncCallbackEvent, AsyncEvent, event_within


def test_making_one_needs_no_loop_and_makes_none() -> None:
    found: list[object] = []

    def make() -> None:
        event = AsyncEvent()
        event.set()
        event.clear()
        try:
            found.append(asyncio.get_event_loop_policy().get_event_loop())
        except RuntimeError:
            found.append(None)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert found == [None]


async def test_until_set_is_done_already_if_it_is_set() -> None:
    event = AsyncEvent()
    assert not event.is_set()
    event.set()
    assert event.is_set()
    assert event.isSet()
    assert event.until_set().done()
    assert await event.until_set() is True


async def test_setting_wakes_even_if_it_is_cleared_at_once() -> None:
    event = AsyncEvent()
    future = event.until_set()
    event.set()
    event.clear()
    assert await future is True
    assert not event.is_set()
    assert not event.until_set().done()


async def test_a_timeout_of_zero_does_not_wait() -> None:
    with pytest.raises(TornadoTimeout):
        await AsyncEvent().until_set(timeout=0)


@pytest.mark.virtual_time
async def test_a_timeout() -> None:
    event = AsyncEvent()
    loop = asyncio.get_running_loop()
    loop.call_later(5, event.set)
    with pytest.raises(TornadoTimeout):
        await event.until_set(timeout=4)
    assert await event.until_set(timeout=4) is True


async def test_failing_raises_in_those_who_wait() -> None:
    event = AsyncEvent()
    future = event.until_set()
    event.fail(KeyError("over"))
    with pytest.raises(KeyError):
        await future


async def test_one_made_elsewhere_is_used_in_the_loop() -> None:
    made = []
    thread = threading.Thread(target=lambda: made.append(AsyncEvent()))
    thread.start()
    thread.join()
    event = made[0]
    future = event.until_set()
    event.set()
    assert await future is True


async def test_waiting_from_another_thread(io_loop: IOLoop) -> None:
    event = AsyncEvent()
    loop = asyncio.get_running_loop()
    waiting = loop.run_in_executor(None, event.wait_with_ioloop, io_loop, 10)
    loop.call_later(0.01, event.set)
    assert await waiting is True
    event.clear()
    assert await loop.run_in_executor(None, event.wait_with_ioloop, io_loop, 0.01) is False


async def test_waiting_from_another_thread_for_what_fails(io_loop: IOLoop) -> None:
    event = AsyncEvent()
    loop = asyncio.get_running_loop()
    waiting = loop.run_in_executor(None, event.wait_with_ioloop, io_loop, 10)
    loop.call_later(0.01, event.fail, KeyError("over"))
    assert await waiting is False


async def test_w8_a_callback_event_tells_setting_from_clearing() -> None:
    told: list[bool] = []
    event = AsyncCallbackEvent(told.append)
    future = event.until_set()
    event.set()
    event.clear()
    assert told == [True, False]
    assert await future is True
    AsyncCallbackEvent().set()


def test_a_loop_given_to_the_constructor_is_waited_on(io_loop: IOLoop) -> None:
    event = AsyncEvent(io_loop)
    future = event.until_set()
    event.set()
    assert io_loop.asyncio_loop.run_until_complete(future) is True
    assert io_loop.asyncio_loop.run_until_complete(event.until_set()) is True
    event.set_ioloop(None)
    with pytest.raises(RuntimeError, match="No loop is running"):
        event.until_set()


async def test_an_event_within_a_time() -> None:
    event = asyncio.Event()
    assert not await event_within(event, 0.001)
    asyncio.get_running_loop().call_later(0.001, event.set)
    assert await event_within(event, 5)
    assert await event_within(event, 0)


async def test_cancelled_in_the_turn_in_which_the_event_is_set() -> None:
    event = asyncio.Event()
    task = asyncio.ensure_future(event_within(event, 5))
    await asyncio.sleep(0.001)
    event.set()
    await asyncio.sleep(0)  # the inner wait is over, and its end not yet heard of
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
