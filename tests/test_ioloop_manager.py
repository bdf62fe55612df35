"""Loops in threads of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.ioloop_manager import IOLoopManager, ThreadsafeFuture


def test_a_managed_loop_runs_in_a_thread_of_its_own() -> None:
    manager = IOLoopManager()
    loop = manager.get_ioloop()
    assert manager.managed
    assert manager.get_ioloop() is loop
    manager.start(timeout=10)
    found: concurrent.futures.Future[Any] = concurrent.futures.Future()
    loop.add_callback(lambda: found.set_result((threading.current_thread(), IOLoop.current())))
    thread, current = found.result(10)
    assert thread is not threading.current_thread()
    assert thread.name.startswith("ioloop-")
    assert current is loop
    manager.stop().result(10)
    manager.join(10)
    assert not thread.is_alive()
    assert loop.asyncio_loop.is_closed()  # type: ignore[attr-defined]


def test_starting_twice_is_an_error() -> None:
    manager = IOLoopManager()
    manager.get_ioloop()
    manager.start(timeout=10)
    with pytest.raises(RuntimeError, match="already running"):
        manager.start()
    manager.stop().result(10)
    manager.join(10)


def test_it_can_be_started_again_and_again() -> None:
    manager = IOLoopManager()
    loops = []
    for wait in (True, False, True):
        loops.append(manager.get_ioloop())
        manager.start(timeout=10)
        manager.stop().result(10)
        # Even without waiting for the thread of the last time to end.
        if wait:
            manager.join(10)
    assert len(set(map(id, loops))) == 3
    manager.join(10)


def test_stop_awaits_a_callback_in_the_loop() -> None:
    manager = IOLoopManager()
    loop = manager.get_ioloop()
    manager.start(timeout=10)

    async def finish() -> Any:
        await asyncio.sleep(0.01)
        return IOLoop.current()

    assert manager.stop(callback=finish).result(10) is loop
    manager.join(10)


def test_a_plain_callback_and_one_that_fails() -> None:
    manager = IOLoopManager()
    manager.get_ioloop()
    manager.start(timeout=10)
    called: list[str] = []
    assert manager.stop(callback=lambda: called.append("plain")).result(10) is None
    assert called == ["plain"]
    manager.join(10)
    manager.get_ioloop()
    manager.start(timeout=10)

    async def fail() -> None:
        raise ValueError("in the callback")

    with pytest.raises(ValueError, match="in the callback"):
        manager.stop(callback=fail).result(10)
    manager.join(10)  # it has stopped all the same


def test_a_second_stop_waits_for_the_first() -> None:
    manager = IOLoopManager()
    manager.get_ioloop()
    manager.start(timeout=10)
    ended = threading.Event()
    calls: list[int] = []

    async def finish() -> str:
        calls.append(1)
        await asyncio.sleep(0.05)
        ended.set()
        return "finished"

    first = manager.stop(callback=finish)
    second = manager.stop(callback=finish)
    assert second.result(10) == "finished"
    assert ended.is_set()
    assert first.result(10) == "finished"
    assert calls == [1]
    assert manager.stop().result(10) is None
    manager.join(10)
    assert manager.stop().result(10) is None


def test_stop_from_within_the_loop() -> None:
    manager = IOLoopManager()
    manager.get_ioloop()
    manager.start(timeout=10)
    stopped: concurrent.futures.Future[Any] = concurrent.futures.Future()
    manager.get_ioloop().add_callback(lambda: stopped.set_result(manager.stop()))
    assert stopped.result(10).result(10) is None
    manager.join(10)


def test_what_still_runs_at_the_end_is_cancelled() -> None:
    manager = IOLoopManager()
    manager.get_ioloop()
    manager.start(timeout=10)
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    begun = threading.Event()

    def begin() -> None:
        loop = asyncio.get_running_loop()
        loop.task = loop.create_task(work())  # type: ignore[attr-defined]
        loop.call_soon(begun.set)

    manager.get_ioloop().add_callback(begin)
    assert begun.wait(10)
    manager.stop().result(10)
    manager.join(10)
    assert ended == ["cancelled"]


def test_a_loop_that_ends_by_itself_does_not_leave_stop_waiting() -> None:
    manager = IOLoopManager()
    loop = manager.get_ioloop()
    manager.start(timeout=10)
    stopped: concurrent.futures.Future[Any] = concurrent.futures.Future()

    async def never() -> None:
        await asyncio.sleep(3600)

    def end() -> None:
        stopped.set_result(manager.stop(callback=never))
        loop.stop()

    loop.add_callback(end)
    assert concurrent.futures.wait([stopped.result(10)], timeout=10).done
    manager.join(10)
    assert manager.stop().result(10) is None


def test_not_started_there_is_nothing_to_stop() -> None:
    manager = IOLoopManager()
    assert manager.stop().result(10) is None
    loop = manager.get_ioloop()
    assert manager.stop().result(10) is None
    manager.join(10)
    loop.close()


@pytest.mark.parametrize("old_style", [True, False])
def test_the_thread_may_be_a_daemon(old_style: bool) -> None:
    manager = IOLoopManager()
    assert not manager.daemon
    if old_style:
        manager.setDaemon(True)
    else:
        manager.daemon = True
    assert manager.daemon
    manager.get_ioloop()
    manager.start(timeout=10)
    assert manager._thread is not None
    assert manager._thread.daemon
    manager.stop().result(10)
    manager.join(10)


async def test_an_unmanaged_loop_is_left_running() -> None:
    manager = IOLoopManager()
    manager.set_ioloop(None, managed=False)
    assert not manager.managed
    assert manager.get_ioloop() is IOLoop.current()
    manager.start()
    manager.start()
    called: list[int] = []
    await manager.stop(callback=lambda: called.append(1))
    await manager.stop(callback=lambda: called.append(2))
    assert called == [1, 2]
    manager.join(10)
    with pytest.raises(RuntimeError, match="already set"):
        manager.set_ioloop(None)


def test_a_loop_may_be_set_and_managed() -> None:
    manager = IOLoopManager(managed_default=False)
    loop = IOLoop(make_current=False)
    manager.set_ioloop(loop, managed=True)
    assert manager.managed
    assert manager.get_ioloop() is loop
    manager.start(timeout=10)
    manager.stop().result(10)
    manager.join(10)


def test_a_loop_that_is_set_is_managed_as_the_manager_was_made() -> None:
    for managed in (True, False):
        manager = IOLoopManager(managed_default=managed)
        loop = IOLoop(make_current=False)
        manager.set_ioloop(loop)
        assert manager.managed is managed
        loop.close()


async def test_without_a_managed_loop_it_is_the_current_one() -> None:
    manager = IOLoopManager(managed_default=False)
    assert manager.get_ioloop() is IOLoop.current()
    assert not manager.managed


def test_without_a_loop_there_is_nothing_to_start() -> None:
    for managed in (True, False):
        manager = IOLoopManager(managed_default=managed)
        with pytest.raises(RuntimeError, match="get_ioloop"):
            manager.start()
        manager.join(10)


def test_of_a_closed_loop_there_is_nothing_to_stop() -> None:
    manager = IOLoopManager()
    loop = IOLoop(make_current=False)
    manager.set_ioloop(loop)
    loop.close()
    assert manager.stop().result(10) is None


def test_no_loop_is_made_before_it_is_needed() -> None:
    manager = IOLoopManager()
    assert manager._ioloop is None


async def test_a_threadsafe_future_can_be_awaited_yielded_and_asked() -> None:
    future = ThreadsafeFuture()
    threading.Timer(0.01, future.set_result, ["x"]).start()
    assert await future == "x"

    @gen.coroutine
    def old_style() -> Any:
        value = yield future
        raise gen.Return(value)

    assert await old_style() == "x"
    assert future.result(0) == "x"
    failed = ThreadsafeFuture()
    failed.set_exception(KeyError("lost"))
    with pytest.raises(KeyError, match="lost"):
        await failed


def test_an_error_that_ends_the_loop_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(IOLoop.configurable_default()):  # type: ignore[misc]
        def start(self) -> None:
            raise RuntimeError("no power")

    manager = IOLoopManager()
    manager.set_ioloop(Broken(make_current=False), managed=True)
    manager.start()
    manager.join(10)
    assert "no power" in caplog.text
    assert manager.stop().result(10) is None
