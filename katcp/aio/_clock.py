"""Which loop, and what time it is on it.

Tornado's ``IOLoop.time()`` is the wall clock while its timers run on asyncio's clock, so every
wait of this package is measured on the latter, which never steps.
"""

from __future__ import annotations

import asyncio
import sys

from tornado.ioloop import IOLoop


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that was made current in this thread, running or not; never makes one.

    Programs make a loop current (``IOLoop.current()`` in the main thread, the ``setUp`` of a test
    case), prepare their objects, and run it afterwards.
    """
    if sys.version_info >= (3, 14):
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_event_loop()
        except RuntimeError:
            return None
    else:
        # Asking for it in the open would make one, or warn that this will stop.
        local = getattr(asyncio.get_event_loop_policy(), "_local", None)
        loop = getattr(local, "_loop", None)
    return None if loop is None or loop.is_closed() else loop


def loop_of(ioloop: IOLoop | None = None) -> asyncio.AbstractEventLoop:
    """Return the asyncio loop to make futures and timers on; never makes one.

    That is the loop that runs in this thread, or the one given, or the one that is current in
    this thread but does not run yet.

    Parameters
    ----------
    ioloop : tornado.ioloop.IOLoop, optional
        Loop to use when none is running in this thread.

    Raises
    ------
    RuntimeError
        If there is no such loop.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        if ioloop is not None:
            given: asyncio.AbstractEventLoop = ioloop.asyncio_loop  # type: ignore[attr-defined]
            return given
        current = _current_loop()
        if current is not None:
            return current
        raise RuntimeError(
            "No loop is running in this thread; call this in a coroutine or give it a loop."
        ) from None


def now(ioloop: IOLoop | None = None) -> float:
    """Return the time of the loop [s]: monotonic, with an arbitrary origin."""
    return loop_of(ioloop).time()
