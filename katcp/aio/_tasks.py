"""Coroutines that are under way, and what becomes of their exceptions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tornado.ioloop import IOLoop

from katcp.aio._clock import loop_of

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


def under_way(coroutine: Coroutine[Any, Any, _T], ioloop: IOLoop | None = None) -> asyncio.Task[_T]:
    """Start `coroutine`; return its future.

    For methods that users call without awaiting: a coroutine object that nobody awaits would
    do nothing. An exception that nobody looks at is dropped in silence, as it is the caller's
    choice not to look.
    """
    task = loop_of(ioloop).create_task(coroutine)
    task.add_done_callback(_look)
    return task


def _look(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def log_future_exceptions(
    logger: logging.Logger,
    f: asyncio.Future[Any],
    ignore: tuple[type[BaseException], ...] = (),
) -> None:
    """Have the exception of the future `f`, if there will be one, logged with its traceback."""

    def look(done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None and not isinstance(error, ignore):
            logger.error("Exception in a future nobody waits for", exc_info=error)

    f.add_done_callback(look)


def log_coroutine_exceptions(coro: _F) -> _F:
    """Decorate a coroutine method so that what it raises is logged to ``self._logger`` too."""

    @functools.wraps(coro)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            result = coro(self, *args, **kwargs)
        except Exception:
            self._logger.exception("Exception in %s", coro.__name__)
            raise
        if inspect.isawaitable(result):
            result = asyncio.ensure_future(result)
            log_future_exceptions(self._logger, result)
        return result

    return wrapper  # type: ignore[return-value]


def call_guarded(
    logger: logging.Logger, what: str, function: Callable[..., Any], *args: Any
) -> Awaitable[Any] | None:
    """Call what a user handed in; log what it raises. Return what it wants awaited, if any.

    Parameters
    ----------
    logger : logging.Logger
    what : str
        Name of the thing called, for the log.
    function : callable
        Plain function, function that returns a future, or coroutine function.
    """
    try:
        result = function(*args)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        logger.exception("%s raised", what)
        return None
    return result if inspect.isawaitable(result) else None


async def finish_guarded(logger: logging.Logger, what: str, awaitable: Awaitable[Any]) -> None:
    """Await what `call_guarded` returned; log what it raises."""
    try:
        await awaitable
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        raise
    except BaseException:
        logger.exception("%s raised", what)


class LatencyTimer:
    """Tells a loop that works through ready futures when to let others have a turn.

    Parameters
    ----------
    max_loop_latency : float
        Longest time to keep the loop [s].
    """

    def __init__(self, max_loop_latency: float, ioloop: IOLoop | None = None) -> None:
        self.max_loop_latency = max_loop_latency
        self.ioloop = ioloop
        self.done = False
        self.prev_done = False
        self.done_since: float | None = None

    def check_future(self, fut: asyncio.Future[Any]) -> None:
        """Take note of whether the next future is ready, that is, whether we keep the loop."""
        self.prev_done = self.done
        self.done = fut.done()
        if self.done and not self.prev_done:
            self.done_since = loop_of(self.ioloop).time()

    def time_to_yield(self) -> bool:
        """Tell whether the loop has been kept for longer than `max_loop_latency`."""
        if not (self.done and self.prev_done) or self.done_since is None:
            return False
        if loop_of(self.ioloop).time() - self.done_since <= self.max_loop_latency:
            return False
        self.done = False  # the next one starts afresh
        return True


def steal_docstring_from(obj: object) -> Callable[[_F], _F]:
    """Return a decorator that puts the docstring of `obj` in front of the function's own."""

    def decorate(function: _F) -> _F:
        parts = [text for text in (obj.__doc__, function.__doc__) if text]
        function.__doc__ = "\n\n".join(parts)
        return function

    return decorate


def hashable_identity(obj: object) -> Any:
    """Return a key that is equal for two bound-method objects of one method and object.

    Strings are their own key; of anything else it is the identity.
    """
    if hasattr(obj, "__func__"):
        return (id(obj.__func__), id(getattr(obj, "__self__", None)))
    if isinstance(obj, str):
        return obj
    return id(obj)
