"""Threads and loops that a test starts, and that end with it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop

from katcp.ioloop_manager import ThreadsafeFuture


def start_thread_with_cleanup(
    test_instance: Any, thread_object: Any, timeout: float = 1, start_timeout: float | None = None
) -> None:
    """Start something, and have it stopped and joined when the test ends.

    Parameters
    ----------
    test_instance : unittest.TestCase
        Its `addCleanup` is used.
    thread_object : object
        Has ``start()``, ``stop()`` and ``join(timeout=...)``: a server, a client, an
        `IOLoopManager`, a thread.
    timeout : float
        For ``join`` [s].
    start_timeout : float, optional
        If given, passed to ``start`` as its ``timeout`` [s].
    """
    if start_timeout is None:
        thread_object.start()
    else:
        thread_object.start(timeout=start_timeout)
    # Cleanups are run from the last to the first.
    test_instance.addCleanup(thread_object.join, timeout=timeout)
    test_instance.addCleanup(thread_object.stop)


def call_in_ioloop(ioloop: IOLoop, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function in a loop that runs in another thread, and return what it returns.

    Parameters
    ----------
    ioloop : tornado.ioloop.IOLoop
    fn : callable
        Called with the further arguments. A future that it returns is returned as it is, a
        coroutine is begun and returned as a future.
    ioloop_timeout : float, optional
        Longest wait for the call to be made and to return [s]; 5 by default.

    Raises
    ------
    concurrent.futures.TimeoutError
        If it does not return in time.
    """
    timeout = kwargs.pop("ioloop_timeout", 5)
    done = ThreadsafeFuture()

    def call() -> None:
        try:
            result = fn(*args, **kwargs)
            if inspect.iscoroutine(result):
                result = asyncio.ensure_future(result)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)

    ioloop.add_callback(call)
    return done.result(timeout)
