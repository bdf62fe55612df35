"""Waiting for the first of several things, for some of them, and for time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio._clock import loop_of
from katcp.aio._timeouts import limit


def until_any(
    *futures: Awaitable[Any], timeout: float | None = None, ioloop: IOLoop | None = None
) -> asyncio.Future[Any]:
    """Return a future of the result, or exception, of the first of `futures` to be done.

    It is done already if one of them is. Nothing of it stays behind on the others, so they
    may live for long and be waited for often.

    Parameters
    ----------
    timeout : float, optional
        Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
    """
    loop = loop_of(ioloop)
    result: asyncio.Future[Any] = loop.create_future()
    several = [asyncio.ensure_future(future, loop=loop) for future in futures]

    def take(future: asyncio.Future[Any]) -> None:
        if not result.done():
            _copy(future, result)
            let_go(result)

    def let_go(_: asyncio.Future[Any]) -> None:
        for future in several:
            future.remove_done_callback(take)

    for future in several:
        if future.done():
            _copy(future, result)
            return result
    for future in several:
        future.add_done_callback(take)
    result.add_done_callback(let_go)
    limit(result, timeout)
    return result


def _copy(source: asyncio.Future[Any], target: asyncio.Future[Any]) -> None:
    if source.cancelled():
        target.cancel()
        return
    error = source.exception()
    if error is not None:
        target.set_exception(error)
    else:
        target.set_result(source.result())


def until_some(
    *args: Awaitable[Any],
    done_at_least: int | None = None,
    timeout: float | None = None,
    ioloop: IOLoop | None = None,
    **kwargs: Awaitable[Any],
) -> asyncio.Future[list[tuple[Any, Any]]]:
    """Return a future of ``[(index or keyword, value), ...]`` of those that are done first.

    Parameters
    ----------
    *args, **kwargs : awaitable
        What to wait for: either positional, known by their index, or by keyword.
    done_at_least : int, optional
        How many have to be done; all if not given.
    timeout : float, optional
        Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

    Raises
    ------
    ValueError
        If both positional and keyword futures are given.

    Notes
    -----
    The first exception of one of them becomes that of the future.
    """
    if args and kwargs:
        raise ValueError("Give the futures either by position or by keyword, not both.")
    loop = loop_of(ioloop)
    named: Sequence[tuple[Any, Awaitable[Any]]] = list(kwargs.items()) or list(enumerate(args))
    several: dict[asyncio.Future[Any], Any] = {
        asyncio.ensure_future(future, loop=loop): name for name, future in named
    }
    wanted = len(several) if done_at_least is None else min(done_at_least, len(several))
    result: asyncio.Future[list[tuple[Any, Any]]] = loop.create_future()
    values: list[tuple[Any, Any]] = []

    def take(future: asyncio.Future[Any]) -> None:
        if result.done():
            return
        if future.cancelled() or future.exception() is not None:
            _copy(future, result)
            return
        values.append((several[future], future.result()))
        if len(values) >= wanted:
            result.set_result(values)

    def let_go(_: asyncio.Future[Any]) -> None:
        for future in several:
            future.remove_done_callback(take)

    if wanted <= 0:
        result.set_result([])
        return result
    for future in several:
        if future.done():
            take(future)
    if not result.done():
        for future in several:
            if not future.done():
                future.add_done_callback(take)
        result.add_done_callback(let_go)
        limit(result, timeout)
    return result


def until_later(delay: float, ioloop: IOLoop | None = None) -> asyncio.Future[None]:
    """Return a future of None that is done in `delay` seconds."""
    loop = loop_of(ioloop)
    future: asyncio.Future[None] = loop.create_future()
    handle = loop.call_later(max(0.0, delay), _finish, future)
    future.add_done_callback(lambda _: handle.cancel())
    return future


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
