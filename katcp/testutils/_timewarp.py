"""Tests whose loop has a clock that stands still until it is moved."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
import warnings
from typing import Any

from tornado.ioloop import IOLoop
from tornado.testing import AsyncTestCase

from katcp.ioloop_manager import ThreadsafeFuture

#: Turns of the loop after which all that a timer sets off is taken to have happened: what one
#: future after the other passes on takes a turn each.
_TURNS = 8


class TimewarpAsyncTestCase(AsyncTestCase):
    """A Tornado test case whose loop's time begins at 0 and moves only by `set_ioloop_time`.

    Timers of the loop follow that clock. It counts for the time limit of `gen_test` (5 s by
    default) as well.

    Attributes
    ----------
    ioloop_time : float
        Time of the loop [s].
    ioloop_thread_id : int
        Thread that the loop is taken to run in.
    """

    ioloop_time: float
    ioloop_thread_id: int

    def setUp(self) -> None:
        """Make the loop."""
        with warnings.catch_warnings():
            # Tornado means to do without `get_new_ioloop` from version 7 on.
            warnings.filterwarnings("ignore", "get_new_ioloop is deprecated", DeprecationWarning)
            super().setUp()

    def get_new_ioloop(self) -> IOLoop:
        """Make a loop with the clock of this test."""
        loop = super().get_new_ioloop()
        self.ioloop_time = 0
        self.ioloop_thread_id = threading.get_ident()
        asyncio_loop: Any = loop.asyncio_loop  # type: ignore[attr-defined]
        # What users ask, and what timers run on.
        loop.time = asyncio_loop.time = lambda: self.ioloop_time  # type: ignore[method-assign]
        return loop

    def set_ioloop_time(self, new_time: float, wake_ioloop: bool = True) -> Any:
        """Move the clock forward.

        Parameters
        ----------
        new_time : float
            Later than now [s].
        wake_ioloop : bool
            Whether to wake the loop, so that it looks at its timers.

        Returns
        -------
        future or None
            What `wake_ioloop` returns, if it is called.

        Raises
        ------
        AssertionError
            If `new_time` is not later than now.
        """
        if not new_time > self.ioloop_time:
            raise AssertionError(f"The clock is at {self.ioloop_time} s already, not {new_time} s.")
        self.ioloop_time = new_time
        return self.wake_ioloop() if wake_ioloop else None

    def wake_ioloop(self) -> Any:
        """Return a future that is done when timers that are due have run, and what they set off.

        In other threads it is one that can be asked there.
        """
        if threading.get_ident() == self.ioloop_thread_id:
            done: Any = self.io_loop.asyncio_loop.create_future()  # type: ignore[attr-defined]
        else:
            done = ThreadsafeFuture()

        def turn(left: int) -> None:
            if left:
                self.io_loop.add_callback(turn, left - 1)
            elif not done.done():
                done.set_result(None)

        self.io_loop.add_callback(turn, _TURNS)
        return done


class TimewarpAsyncTestCaseTimeAdvancer(threading.Thread):
    """A thread that moves the clock of a `TimewarpAsyncTestCase` along.

    Ends by itself when the loop of the test is closed.

    Parameters
    ----------
    test_instance : TimewarpAsyncTestCase
    quantum : float
        How far the clock is moved at a time [s of the loop].
    rate : float
        How often it is moved [1/s].
    """

    def __init__(
        self, test_instance: TimewarpAsyncTestCase, quantum: float = 0.05, rate: float = 1000.0
    ) -> None:
        super().__init__()
        self.test_instance = test_instance
        self.quantum = quantum
        self.rate = rate
        self._running = threading.Event()

    def start(self) -> None:
        """Begin to move the clock."""
        self._running.set()
        super().start()

    def stop(self, timeout: float | None = None) -> None:
        """Move the clock no more; with a timeout, wait until the thread has ended [s]."""
        self._running.clear()
        if timeout is not None and self is not threading.current_thread():
            self.join(timeout)

    def run(self) -> None:
        """Move the clock, step by step."""
        period = 1.0 / self.rate
        while self._running.is_set():
            begun = time.monotonic()
            if not self._step():
                return
            time.sleep(max(0.0, period - (time.monotonic() - begun)))

    def _step(self) -> bool:
        """Move the clock by one step, in the loop; tell whether to go on."""
        test = self.test_instance
        loop = test.io_loop
        asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def move() -> None:
            try:
                if self._running.is_set():
                    test.set_ioloop_time(test.ioloop_time + self.quantum)
            finally:
                done.set_result(None)

        loop.add_callback(move)
        while self._running.is_set() and not asyncio_loop.is_closed():
            try:
                done.result(0.05)
            except concurrent.futures.TimeoutError:
                continue  # the loop does not run just now
            return True
        return False
