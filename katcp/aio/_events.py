"""A flag that coroutines can wait for."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio._waiters import Waiters, done


class AsyncEvent:
    """A flag to wait for. Not thread-safe: to be used in the loop only.

    Setting it wakes everybody who waits, even if it is cleared again before they run.

    Parameters
    ----------
    ioloop : tornado.ioloop.IOLoop, optional
        Loop to wait on where `until_set` is called with no loop running. Making an event
        needs no loop and makes none.
    """

    def __init__(self, ioloop: IOLoop | None = None) -> None:
        self._ioloop = ioloop
        self._flag = False
        self._waiters = Waiters()

    def set_ioloop(self, ioloop: IOLoop | None) -> None:
        """Wait on `ioloop` from now on, where no loop is running."""
        self._ioloop = ioloop

    def set(self) -> None:
        """Set the flag, and wake all who wait for it."""
        self._flag = True
        self._waiters.wake(True)

    def clear(self) -> None:
        """Clear the flag."""
        self._flag = False

    def is_set(self) -> bool:
        """Tell whether the flag is set."""
        return self._flag

    isSet = is_set  # noqa: N815 - the name that users of katcp-python call

    def fail(self, error: Exception) -> None:
        """Raise `error` in all who wait: the flag will not be set any more."""
        self._waiters.fail(error)

    def until_set(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future of True, done already if the flag is set.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        if self._flag:
            return done(True, self._ioloop)
        return self._waiters.add(timeout, ioloop=self._ioloop)

    def wait_with_ioloop(self, ioloop: IOLoop, timeout: float | None = None) -> bool:
        """Block until the flag is set, for threads other than that of `ioloop`.

        Returns
        -------
        bool
            True if it was set within `timeout` seconds, False if not.
        """
        result: concurrent.futures.Future[bool] = concurrent.futures.Future()

        def report(future: asyncio.Future[Any]) -> None:
            if result.set_running_or_notify_cancel():
                result.set_result(not future.cancelled() and future.exception() is None)

        ioloop.add_callback(lambda: self.until_set().add_done_callback(report))
        try:
            return result.result(timeout)
        except concurrent.futures.TimeoutError:
            if not result.cancel():
                return result.result()  # it came at the last moment
            return False


class AsyncCallbackEvent(AsyncEvent):
    """An `AsyncEvent` that also calls ``callback(flag)`` whenever it is set or cleared."""

    def __init__(self, callback: Callable[[bool], object] = lambda flag: None) -> None:
        super().__init__()
        self._callback = callback

    def set(self) -> None:
        """Set the flag, wake all who wait, call ``callback(True)``."""
        super().set()
        self._callback(True)

    def clear(self) -> None:
        """Clear the flag, call ``callback(False)``."""
        super().clear()
        self._callback(False)


async def event_within(event: asyncio.Event, timeout: float) -> bool:
    """Wait until `event` is set, but no longer than `timeout` seconds; tell whether it is.

    Cancelling always ends it. Before Python 3.12, `asyncio.wait_for` loses a cancellation that
    comes in the turn in which the event is set, and a loop around it goes on for ever.
    """
    if event.is_set():
        return True
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiter], timeout=timeout)
    finally:
        waiter.cancel()
    return event.is_set()
