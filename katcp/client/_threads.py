"""Calls from other threads: they are made in the loop, in the order they came in.

Methods say by a mark how they are called from elsewhere: queued (`make_threadsafe`), or with the
caller waiting for the result (`make_threadsafe_blocking`). The marks do nothing by themselves;
a client that is to be thread-safe gets wrappers of its own for its marked methods, so that other
clients pay nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])
Call = Callable[[], object]

#: How long the caller of a method that blocks waits for its result, by default [s].
BLOCKING_TIMEOUT = 5.0

_QUEUED, _BLOCKING = "make_threadsafe", "make_threadsafe_blocking"


def make_threadsafe(meth: Method) -> Method:
    """Mark a method that other threads may call, without waiting for it to be done.

    In a client with `enable_thread_safety`, a call from another thread is queued for the loop and
    returns None; what it raises is logged. A call in the loop is a plain call. A method that
    overrides a marked one has to be marked anew; without that it runs where it is called.
    """
    setattr(meth, _QUEUED, True)
    return meth


def make_threadsafe_blocking(meth: Method) -> Method:
    """Mark a method that other threads may call, and whose result they wait for.

    In a client with `enable_thread_safety`, a call from another thread is made in the loop; it
    returns or raises what the method does there. If that is a future, its outcome is waited for.
    Callers may give a further keyword argument ``timeout`` (5 s; None for ever), after which
    `concurrent.futures.TimeoutError` is raised. A call in the loop is a plain call. A method that
    overrides a marked one has to be marked anew; without that it runs where it is called.
    """
    setattr(meth, _BLOCKING, True)
    return meth


class Answer:
    """What a thread waits for: a result, or an error, given in another thread."""

    # A lock is all that is needed; a `concurrent.futures.Future` costs several times as much.
    __slots__ = ("_error", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        """Tell whether it is there."""
        return not self._lock.locked()

    def set_result(self, result: Any) -> None:
        """Give the result."""
        self._result = result
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        """Give an error instead."""
        self._error = error
        self._lock.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait for it; tell whether it came within `timeout` seconds."""
        limit = -1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=limit):
            return False
        self._lock.release()
        return True

    def get(self) -> Any:
        """Return the result that is there, or raise the error."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the traceback of the error would hold it, and it the error
        return self._result


class Closed(RuntimeError):
    """The client does not run, so nothing can be called in its loop."""


class Inbox:
    """The calls that wait to be made in a loop."""

    def __init__(self) -> None:
        # Re-entrant, since a signal handler may put a call in while its own thread is doing so.
        self._lock = threading.RLock()
        self._calls: list[Call] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take calls from now on, for `loop`."""
        with self._lock:
            self._loop = loop
            self._woken = False

    def put(self, call: Call) -> None:
        """Have `call` made in the loop; it must not raise.

        Raises
        ------
        Closed
            If it is not open, or the loop is closed.
        """
        with self._lock:
            loop = self._loop
            if loop is None:
                raise Closed("The client does not run: call start() first")
            if not self._woken:
                try:
                    loop.call_soon_threadsafe(self._run, loop)
                except RuntimeError as error:  # whoever owns the loop has closed it
                    raise Closed(f"The loop of the client is gone: {error}") from None
                self._woken = True
            self._calls.append(call)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._loop is not loop:
                return
            calls, self._calls = self._calls, []
            self._woken = False
        for call in calls:
            call()

    def close(self) -> None:
        """Make the calls that wait, and take no more (in the loop)."""
        with self._lock:
            self._loop = None
            calls, self._calls = self._calls, []
            self._woken = False
        for call in calls:
            call()


class Owner(Protocol):
    """A client, as seen from here."""

    _inbox: Inbox
    _logger: logging.Logger

    def _here(self) -> bool: ...


def wrap_marked(owner: Owner) -> dict[str, Callable[..., Any]]:
    """Give `owner` wrappers of its marked methods; return them by name.

    A method that overrides a marked one and has no mark itself is left alone: it runs in the
    thread that calls it, and may do there what would stop the loop, such as to join it.
    """
    cls = type(owner)
    wrappers: dict[str, Callable[..., Any]] = {}
    for name in dir(cls):
        method = getattr(cls, name)
        if getattr(method, _BLOCKING, False):
            wrap = _blocking
        elif getattr(method, _QUEUED, False):
            wrap = _queued
        else:
            continue
        wrappers[name] = wrap(owner, getattr(owner, name))
        setattr(owner, name, wrappers[name])
    return wrappers


def _queued(owner: Owner, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def queued(*args: Any, **kwargs: Any) -> Any:
        if owner._here():  # noqa: SLF001  # the wrapper is a part of its owner
            return method(*args, **kwargs)
        queue_call(owner, method, *args, **kwargs)
        return None

    return queued


def _blocking(owner: Owner, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def blocking(*args: Any, timeout: float | None = BLOCKING_TIMEOUT, **kwargs: Any) -> Any:
        if owner._here():  # noqa: SLF001  # the wrapper is a part of its owner
            return method(*args, **kwargs)
        return blocking_call(owner, method, *args, timeout=timeout, **kwargs)

    return blocking


def queue_call(owner: Owner, method: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Have a method called in the loop of `owner`; what it raises is logged."""

    def call() -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            owner._logger.exception("Error in %s()", _name(method))  # noqa: SLF001

    owner._inbox.put(call)  # noqa: SLF001  # one client in two files


def blocking_call(
    owner: Owner,
    method: Callable[..., Any],
    *args: Any,
    timeout: float | None = BLOCKING_TIMEOUT,
    **kwargs: Any,
) -> Any:
    """Call a method in the loop of `owner`, and wait for what that comes to."""
    answer = Answer()
    owner._inbox.put(lambda: resolve(answer, method, *args, **kwargs))  # noqa: SLF001
    if not answer.wait(timeout):
        raise concurrent.futures.TimeoutError(f"{_name(method)}() was not done within {timeout} s")
    return answer.get()


def _name(method: Callable[..., Any]) -> str:
    function = method.func if isinstance(method, functools.partial) else method
    return getattr(function, "__name__", repr(function))


def resolve(answer: Answer, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call `function` in the loop; give `answer` what it returns, or what that comes to."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        answer.set_exception(error)
        return
    if not inspect.isawaitable(result):
        answer.set_result(result)
        return

    def done(future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            answer.set_exception(asyncio.CancelledError())
            return
        error = future.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(future.result())

    future = asyncio.ensure_future(result)
    if future.done():
        done(future)
    else:
        future.add_done_callback(done)
