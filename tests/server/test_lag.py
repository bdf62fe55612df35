"""What the watch of the loop sees; that it warns is in tests/promises/test_handlers.py."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from katcp.server._lag import _running, _stack_of
from tests.helpers.serving import until


def mark() -> object:
    return _running(_stack_of(threading.get_ident()))


async def test_a_callback_is_the_same_for_as_long_as_it_runs() -> None:
    seen: list[object] = []
    asyncio.get_running_loop().call_soon(lambda: seen.extend([mark(), mark()]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen[0] is not None
    assert seen[0] == seen[1]


async def test_a_callback_that_runs_again_in_another_turn_is_another() -> None:
    # As that of a connection does, which has something to read in every turn.
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        seen: list[object] = []
        there.send(b"x")
        loop.add_reader(here.fileno(), lambda: seen.append(mark()))
        await until(lambda: len(seen) >= 5)
        loop.remove_reader(here.fileno())
    assert None not in seen
    assert len(set(seen)) == len(seen)


def test_a_thread_without_a_loop_runs_nothing() -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(mark()))
    thread.start()
    thread.join()
    assert seen == [None]


async def test_a_loop_that_waits_runs_nothing_though_it_has_thrown_out_a_timer() -> None:
    loop = asyncio.get_running_loop()
    watched = threading.get_ident()
    seen: list[object] = []

    def look() -> None:
        while len(seen) < 20:
            seen.append(_running(_stack_of(watched)))
            time.sleep(0.002)
        loop.call_soon_threadsafe(done.set)

    done = asyncio.Event()
    thread = threading.Thread(target=look)
    loop.call_later(60, lambda: None).cancel()
    loop.call_later(0.01, thread.start)
    await asyncio.sleep(0.02)
    loop.call_later(60, lambda: None).cancel()
    await done.wait()
    thread.join()
    assert seen[-10:] == [None] * 10
