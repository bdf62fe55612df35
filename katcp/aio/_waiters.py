"""Futures that wait for one and the same thing: the ground that events and states stand on."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio._clock import loop_of
from katcp.aio._timeouts import limit


class Waiters:
    """Futures to be resolved together.

    Nothing is bound to a loop before somebody waits. A future that is cancelled or timed out
    is forgotten; one that fails without anybody looking makes no noise.
    """

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: dict[asyncio.Future[Any], None] = {}  # a set that keeps its order

    def __len__(self) -> int:
        return len(self._futures)

    def add(
        self, timeout: float | None = None, what: str = "", ioloop: IOLoop | None = None
    ) -> asyncio.Future[Any]:
        """Return a future that the next `wake` or `fail` resolves.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; 0 fails in the next turn of the loop, None waits for ever.
        what : str
            What is waited for, for the text of the timeout.
        ioloop : IOLoop, optional
            Loop to wait on if none runs in this thread.
        """
        future = loop_of(ioloop).create_future()
        self._futures[future] = None
        future.add_done_callback(self._forget)
        limit(future, timeout, what)
        return future

    def _forget(self, future: asyncio.Future[Any]) -> None:
        self._futures.pop(future, None)
        if not future.cancelled():
            future.exception()  # looked at: no complaint if nobody else does

    def wake(self, value: object = True) -> None:
        """Give `value` to all who wait."""
        futures, self._futures = self._futures, {}
        for future in futures:
            if not future.done():
                future.set_result(value)

    def fail(self, error: Exception) -> None:
        """Give `error` to all who wait."""
        futures, self._futures = self._futures, {}
        for future in futures:
            if not future.done():
                future.set_exception(error)


def done(value: object = True, ioloop: IOLoop | None = None) -> asyncio.Future[Any]:
    """Return a future that has `value` already."""
    future = loop_of(ioloop).create_future()
    future.set_result(value)
    return future


def failed(error: Exception, ioloop: IOLoop | None = None) -> asyncio.Future[Any]:
    """Return a future that has failed with `error` already, without noise if nobody looks."""
    future = loop_of(ioloop).create_future()
    future.set_exception(error)
    future.exception()
    return future
