from __future__ import annotations

import asyncio
import threading
import unittest
from typing import Any

import pytest
from tornado.testing import gen_test

from katcp.testutils import TimewarpAsyncTestCase, TimewarpAsyncTestCaseTimeAdvancer


class Clocks(TimewarpAsyncTestCase):
    @gen_test
    async def test_asyncio_has_the_same_clock(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(asyncio.sleep(3, "slept"))
        await self.wake_ioloop()  # so that it begins
        await self.set_ioloop_time(2.9)
        assert loop.time() == self.io_loop.time() == 2.9
        assert not task.done()
        await self.set_ioloop_time(3)
        assert task.result() == "slept"
        waiting = asyncio.ensure_future(asyncio.wait_for(asyncio.Event().wait(), 1))
        await self.wake_ioloop()
        await self.set_ioloop_time(4)
        with pytest.raises(asyncio.TimeoutError):
            await waiting

    @gen_test
    async def test_what_a_timer_sets_off_has_happened_as_well(self) -> None:
        steps: list[int] = []

        async def chain() -> None:
            await asyncio.sleep(1)
            for step in range(4):
                await asyncio.sleep(0)
                steps.append(step)

        task = asyncio.ensure_future(chain())
        await self.wake_ioloop()
        await self.set_ioloop_time(1)
        assert steps == [0, 1, 2, 3]
        await task

    @gen_test
    async def test_the_clock_is_moved_from_another_thread(self) -> None:
        sleeping = asyncio.ensure_future(asyncio.sleep(2))
        await self.wake_ioloop()
        results: list[Any] = []

        def move() -> None:
            results.append(self.set_ioloop_time(2).result(timeout=10))
            results.append(self.wake_ioloop().result(timeout=10))
            results.append(self.set_ioloop_time(3, wake_ioloop=False))

        thread = threading.Thread(target=move)
        thread.start()
        await sleeping
        while len(results) < 3:
            await self.wake_ioloop()
        thread.join()
        assert results == [None, None, None]
        assert self.io_loop.time() == 3


class Advanced(TimewarpAsyncTestCase):
    @gen_test
    async def test_stopped(self) -> None:
        advancer = TimewarpAsyncTestCaseTimeAdvancer(self, quantum=0.5)
        advancer.start()
        await asyncio.sleep(3)
        assert 3 <= self.ioloop_time < 4.5
        advancer.stop()
        advancer.stop()
        now = self.ioloop_time
        for _ in range(20):
            await self.wake_ioloop()
        assert self.ioloop_time == now
        advancer.stop(timeout=5)
        assert not advancer.is_alive()

    @gen_test
    async def test_forgotten(self) -> None:
        self.advancer = TimewarpAsyncTestCaseTimeAdvancer(self, quantum=0.01, rate=100)
        self.advancer.start()
        await asyncio.sleep(0.05)

    def tearDown(self) -> None:
        super().tearDown()
        if hasattr(self, "advancer"):
            self.advancer.join(timeout=5)
            assert not self.advancer.is_alive()


class Quick(TimewarpAsyncTestCase):
    def test_limit(self) -> None:
        steps: list[tuple[tuple[Any, ...], bool]] = []
        move = self.set_ioloop_time

        def record(*args: Any) -> Any:
            steps.append((args, threading.get_ident() == self.ioloop_thread_id))
            return move(*args)

        self.set_ioloop_time = record  # type: ignore[method-assign]
        advancer = TimewarpAsyncTestCaseTimeAdvancer(self, quantum=0.5)
        advancer.start()
        self.io_loop.call_later(2, self.stop)
        self.wait()
        advancer.stop()
        assert steps[:4] == [((step,), True) for step in (0.5, 1.0, 1.5, 2.0)]


@pytest.mark.filterwarnings("error")
def test_the_cases_run_without_a_warning() -> None:
    class Case(TimewarpAsyncTestCase):
        def test_it(self) -> None:
            assert self.io_loop.time() == 0

    result = unittest.TestResult()
    Case("test_it").run(result)
    assert result.wasSuccessful(), result.errors
