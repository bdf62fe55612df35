"""Which loop, and what time it is on it.

Tornado's ``IOLoop.time()`` is the wall clock while its timers run on asyncio's clock, so every
wait of this package is measured on the latter, which never steps.
"""

from __future__ import annotations

import asyncio

from tornado.ioloop import IOLoop


def loop_of(ioloop: IOLoop | None = None) -> asyncio.AbstractEventLoop:
    """Return the asyncio loop to make futures and timers on; never makes one.

    Parameters
    ----------
    ioloop : tornado.ioloop.IOLoop, optional
        Loop to use when none is running in this thread.

    Raises
    ------
    RuntimeError
        If no loop is running in this thread and none was given.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        if ioloop is not None:
            loop: asyncio.AbstractEventLoop = ioloop.asyncio_loop  # type: ignore[attr-defined]
            return loop
        raise RuntimeError(
            "No loop is running in this thread; call this in a coroutine or give it a loop."
        ) from None


def now(ioloop: IOLoop | None = None) -> float:
    """Return the time of the loop [s]: monotonic, with an arbitrary origin."""
    return loop_of(ioloop).time()
