"""Calling what belongs to a loop from threads that are not the loop's, and waiting for it.

One place hops to the loop and back: `IOLoopThreadWrapper.call_in_ioloop`. Everything else
decides what is to be called there.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import WaitTimeout, loop_of, with_timeout
from katcp.object_proxies import ObjectWrapper

#: How often a thread that waits looks whether the loop has been closed [s].
_LOOK = 0.25


def _timeout_of_both_worlds() -> type[Exception]:
    """Return an exception caught as that of threads and as that of coroutines.

    The two have been one since Tornado 6.5 on Python 3.11.
    """
    threads: type[Exception] = concurrent.futures.TimeoutError
    if issubclass(threads, WaitTimeout):
        return threads
    if issubclass(WaitTimeout, threads):
        return WaitTimeout
    return type("LoopCallTimeout", (threads, WaitTimeout), {"__module__": __name__})


#: Time ran out for a call into a loop: caught by the name of the thread's world,
#: `concurrent.futures.TimeoutError`, and by that of the loop's, `tornado.gen.TimeoutError`.
LoopCallTimeout = _timeout_of_both_worlds()


def with_relative_timeout(
    timeout: float | None, future: Awaitable[Any], io_loop: IOLoop | None = None
) -> asyncio.Future[Any]:
    """Return a future of the result of `future`, if that comes within `timeout` seconds.

    Raises
    ------
    tornado.gen.TimeoutError
        From the future, when time runs out. What was waited for is not cancelled.
    """
    return with_timeout(future, timeout, ioloop=io_loop)


class IOLoopThreadWrapper:
    """Calls functions in a loop that runs in another thread, and waits for them.

    Parameters
    ----------
    ioloop : tornado.ioloop.IOLoop, optional
        The loop, running or not yet; that of the present thread if not given.

    Attributes
    ----------
    default_timeout : float or None
        Longest wait of a call that does not say how long [s]; None: for ever.
    """

    default_timeout: float | None = None

    def __init__(self, ioloop: IOLoop | None = None) -> None:
        self.ioloop = ioloop if ioloop is not None else _current_ioloop()
        self._thread_id: int | None = None

    def _install(self) -> None:
        """Take note of the loop's thread, in which this is called."""
        self._thread_id = threading.get_ident()

    def call_in_ioloop(
        self,
        fn: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        timeout: float | None = None,
    ) -> Any:
        """Return ``fn(*args, **kwargs)``, called in the loop.

        If that is a future or coroutine, it is waited for, and its result returned or its
        exception raised.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `default_timeout` if None. What has begun in the loop is not
            cancelled when time runs out, what has not begun never will.

        Raises
        ------
        concurrent.futures.TimeoutError
            If it takes longer; also if `fn` raises `tornado.gen.TimeoutError`, as it may do
            when it has the same limit.
        RuntimeError
            If called in the loop's own thread, which would wait for itself, or if the loop is
            closed before there is a result.
        """
        loop = self.ioloop
        if loop is None:
            raise RuntimeError("No loop to call into: give IOLoopThreadWrapper one.")
        asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
        self._refuse_own_thread(asyncio_loop)
        if timeout is None:
            timeout = self.default_timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        result: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def call() -> None:
            if not result.set_running_or_notify_cancel():
                return  # nobody waits for it any more
            self._install()
            if deadline is not None:
                # Begun before the call, this runs out before a limit of the call's own: who
                # asks for the same limit in both places always hears of it in the same way.
                rest = max(0.0, deadline - time.monotonic())
                limit = asyncio_loop.call_later(rest, _run_out, result, timeout)
                result.add_done_callback(lambda _: limit.cancel())
            try:
                value = fn(*args, **kwargs)
                future = _future_of(value)
            except BaseException as error:
                result.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                return
            if future is None:
                result.set_result(value)
            else:
                future.add_done_callback(functools.partial(_hand_over, result=result))

        try:
            asyncio_loop.call_soon_threadsafe(call)
        except RuntimeError:
            raise RuntimeError("The loop is closed.") from None
        return _wait(result, asyncio_loop, deadline, timeout)

    def _refuse_own_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            own = asyncio.get_running_loop() is loop
        except RuntimeError:
            # A loop that pauses is not running, but nobody else will go on with it.
            own = not loop.is_running() and self._thread_id == threading.get_ident()
        if own:
            raise RuntimeError("Cannot call a thread-wrapped object from the ioloop")

    def decorate_callable(self, callable_: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls `callable_` in the loop, and waits for it.

        A keyword argument ``timeout`` is handed to `callable_`, and limits the wait as well.
        """

        @functools.wraps(callable_)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            return self.call_in_ioloop(callable_, args, kwargs, kwargs.get("timeout"))

        decorated.__doc__ = (
            "Called in the loop by other threads; blocks until it is done there, and until the\n"
            "future that it may return is.\n\n" + (inspect.getdoc(callable_) or "")
        )
        return decorated


def _current_ioloop() -> IOLoop | None:
    """Return the loop of this thread if there is one; never makes one."""
    try:
        loop_of()
    except RuntimeError:
        return None
    return IOLoop.current(instance=False)


def _future_of(value: object) -> asyncio.Future[Any] | None:
    if isinstance(value, concurrent.futures.Future):
        return asyncio.wrap_future(value)
    if inspect.isawaitable(value):
        return asyncio.ensure_future(value)
    return None


def _run_out(result: concurrent.futures.Future[Any], timeout: float | None) -> None:
    if not result.done():
        result.set_exception(_timeout(timeout))


def _timeout(timeout: float | None) -> Exception:
    return LoopCallTimeout(f"Timed out after {timeout:g} s waiting for a call in a loop.")


def _hand_over(done: asyncio.Future[Any], result: concurrent.futures.Future[Any]) -> None:
    error = None if done.cancelled() else done.exception()
    if result.done():
        return  # time ran out; an exception has been looked at
    if done.cancelled():
        result.set_exception(concurrent.futures.CancelledError())
    elif error is not None:
        result.set_exception(error)
    else:
        result.set_result(done.result())


def _wait(
    result: concurrent.futures.Future[Any],
    loop: asyncio.AbstractEventLoop,
    deadline: float | None,
    timeout: float | None,
) -> Any:
    while True:
        rest = _LOOK if deadline is None else min(_LOOK, deadline - time.monotonic())
        closed = loop.is_closed()  # asked before: what it did last may just have come
        concurrent.futures.wait([result], timeout=max(0.0, rest))
        if result.done():
            break
        if deadline is not None and time.monotonic() >= deadline:
            result.cancel()
            raise _timeout(timeout)
        if closed:
            raise RuntimeError("The loop was closed before the call was done.")
    try:
        return result.result()
    except WaitTimeout as error:
        if isinstance(error, LoopCallTimeout):
            raise
        raise LoopCallTimeout(*error.args) from error
    finally:
        # The exception's traceback refers to this frame: no cycle that keeps a resource alive.
        del result


class ThreadSafeMethodAttrWrapper(ObjectWrapper):
    """Stands for `subject`, whose methods it calls in the loop; each call blocks.

    Attributes that are not callable are read directly, in the thread that asks. A subclass
    reads those that must be read in the loop with ``self._getattr(name)``.

    Parameters
    ----------
    subject : object
        What lives in the loop. It stays at hand as ``__subject__``.
    ioloop_wrapper : IOLoopThreadWrapper
        How to reach the loop.
    """

    _ioloop_wrapper: IOLoopThreadWrapper = None  # type: ignore[assignment]  # own, not the subject's

    def __init__(self, subject: Any, ioloop_wrapper: IOLoopThreadWrapper) -> None:
        super().__init__(subject)
        self._ioloop_wrapper = ioloop_wrapper

    def __getattr__(self, attr: str) -> Any:  # type: ignore[override]  # as katcp-python has it
        value = getattr(self.__subject__, attr)
        return self._ioloop_wrapper.decorate_callable(value) if callable(value) else value

    def _getattr(self, attr: str) -> Any:
        """Return an attribute of the subject, read in the loop."""
        return self._ioloop_wrapper.call_in_ioloop(getattr, (self.__subject__, attr), {})
