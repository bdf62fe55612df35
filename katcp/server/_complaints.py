"""How often a client is told that a line of it was bad.

A complaint takes ten times as long to make, to log and to send as a bad line takes to read, and
is longer than the line. So there is a number of them in a second; what is left out is counted, and
told in one line when the second is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: What `most` is counted in [s].
SPAN = 1.0


class Complaints:
    """Those to one client.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    most : int
        So many in a second, counted from the first of them.
    tell : callable
        Called with how many were left out.
    """

    __slots__ = ("_count", "_end", "_left_out", "_loop", "_most", "_tell", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, most: int, tell: Callable[[int], object]
    ) -> None:
        self._loop = loop
        self._most = most
        self._tell = tell
        self._count = 0
        self._end = 0.0
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def allow(self) -> bool:
        """Take note of a bad line; tell whether to complain of it."""
        if self._timer is not None:
            self._left_out += 1
            return False
        now = self._loop.time()
        if now >= self._end:
            self._count = 0
            self._end = now + SPAN
        self._count += 1
        if self._count <= self._most:
            return True
        self._left_out = 1
        self._timer = self._loop.call_at(self._end, self._over)
        return False

    def _over(self) -> None:
        self._timer = None
        self._tell(self._left_out)

    def stop(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()
