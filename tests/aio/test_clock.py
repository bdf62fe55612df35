import asyncio
import threading

import pytest
from tornado.ioloop import IOLoop

from katcp.aio import AsyncEvent, loop_of, now


async def test_the_running_loop_is_taken_whatever_is_given(io_loop: IOLoop) -> None:
    assert loop_of() is asyncio.get_running_loop()
    assert loop_of(None) is io_loop.asyncio_loop
    other = IOLoop(make_current=False)
    try:
        assert loop_of(other) is asyncio.get_running_loop()
    finally:
        other.close()


def test_without_a_running_loop_the_given_one_is_taken(io_loop: IOLoop) -> None:
    assert loop_of(io_loop) is io_loop.asyncio_loop


def test_no_loop_is_ever_made() -> None:
    made = []

    def run() -> None:
        with pytest.raises(RuntimeError, match="No loop is running"):
            loop_of()
        made.append(asyncio.events._get_running_loop())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert made == [None]


@pytest.mark.virtual_time
async def test_time_is_that_of_the_loop() -> None:
    begun = now()
    await asyncio.sleep(3600)
    assert now() - begun == pytest.approx(3600)


def test_the_loop_that_is_current_is_taken_before_it_runs() -> None:
    io_loop = IOLoop(make_current=False)
    asyncio.set_event_loop(io_loop.asyncio_loop)
    try:
        assert loop_of() is io_loop.asyncio_loop
        event = AsyncEvent()
        waiting = event.until_set()
        io_loop.add_callback(event.set)

        async def wait() -> bool:
            result: bool = await waiting
            return result

        assert io_loop.run_sync(wait) is True
    finally:
        asyncio.set_event_loop(None)
        io_loop.close()
    with pytest.raises(RuntimeError, match="No loop is running"):
        loop_of()
