"""Limits on how long something is waited for.

Only None means "for ever"; 0 means "not at all". What runs out of time raises
`tornado.gen.TimeoutError`, the exception that users of Tornado catch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import tornado.util
from tornado.ioloop import IOLoop

from katcp.aio._clock import loop_of, now

_T = TypeVar("_T")

#: What is raised when time runs out; also known as `tornado.gen.TimeoutError`.
WaitTimeout = tornado.util.TimeoutError


def limit(future: asyncio.Future[Any], timeout: float | None, what: str = "") -> None:
    """Fail `future` with a timeout if it is not done within `timeout` seconds."""
    if timeout is None or future.done():
        return
    loop = future.get_loop()
    handle = loop.call_later(max(0.0, timeout), _expire, future, timeout, what)
    future.add_done_callback(lambda _: handle.cancel())


def _expire(future: asyncio.Future[Any], timeout: float, what: str) -> None:
    if not future.done():
        future.set_exception(timeout_error(timeout, what))


def timeout_error(timeout: float, what: str = "") -> WaitTimeout:
    """Return the exception for a wait of `timeout` seconds that was in vain."""
    return WaitTimeout(
        f"Timed out after {timeout:g} s" + (f" waiting for {what}." if what else ".")
    )


def with_timeout(
    awaitable: Awaitable[_T], timeout: float | None, what: str = "", ioloop: IOLoop | None = None
) -> asyncio.Future[_T]:
    """Return a future of the result of `awaitable`, or of a timeout.

    The thing waited for is not cancelled when time runs out: others may wait for it too. What
    becomes of it then is nobody's business, so a late exception of it makes no noise.
    """
    loop = loop_of(ioloop)
    inner: asyncio.Future[_T] = asyncio.ensure_future(awaitable, loop=loop)
    if timeout is None:
        return inner
    outer: asyncio.Future[_T] = loop.create_future()
    _chain(inner, outer)
    limit(outer, timeout, what)
    return outer


def _chain(inner: asyncio.Future[_T], outer: asyncio.Future[_T]) -> None:
    """Hand the outcome of `inner` to `outer`; let go of `inner` once `outer` is done."""

    def copy(_: asyncio.Future[_T]) -> None:
        if inner.cancelled():
            if not outer.done():
                outer.cancel()
            return
        error = inner.exception()
        if outer.done():
            return
        if error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(inner.result())

    if inner.done():
        copy(inner)
    else:
        inner.add_done_callback(copy)


class FutureTimeoutManager:
    """One time limit over several waits in a row.

    Parameters
    ----------
    timeout : float, optional
        Seconds from now that all waits together may take; None: no limit.
    """

    def __init__(self, timeout: float | None = None, ioloop: IOLoop | None = None) -> None:
        self._ioloop = ioloop
        self._timeout = timeout
        self._start = now(ioloop) if timeout is not None else 0.0

    def remaining(self) -> float | None:
        """Return what is left [s], never less than 0; None without a limit."""
        if self._timeout is None:
            return None
        return max(0.0, self._timeout - (now(self._ioloop) - self._start))

    def __call__(self, future: Awaitable[_T]) -> asyncio.Future[_T]:
        """Return a future of `future` that has what is left of the time."""
        return with_timeout(future, self.remaining(), ioloop=self._ioloop)


def future_timeout_manager(
    timeout: float | None = None, ioloop: IOLoop | None = None
) -> FutureTimeoutManager:
    """Return ``f`` such that ``f(future)`` applies what is left of `timeout` seconds.

    ``f.remaining()`` tells how much that is.
    """
    return FutureTimeoutManager(timeout, ioloop)
