"""Noticing a device that is gone without a word: no FIN, no reset, just silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Asks a silent device for a sign of life, and gives it up if none comes.

    It takes between two and three intervals until a device that went silent is given up; longer
    while requests wait for their replies, since a device may answer one after the other, and the
    one that asks for a sign of life last. Those have time limits of their own.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    interval : float
        Silence after which the device is asked, and again after which it is given up [s].
    ask : callable
        Asks the device for anything.
    give_up : callable
        Called with the reason.
    is_busy : callable
        Tells whether the device may have other requests to answer, made before a given time.
    """

    __slots__ = ("_ask", "_asked", "_give_up", "_interval", "_is_busy", "_loop", "_timer", "heard")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        ask: Callable[[], object],
        give_up: Callable[[str], object],
        is_busy: Callable[[float], bool] = lambda since: False,
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._ask = ask
        self._give_up = give_up
        self._is_busy = is_busy
        self._asked: float | None = None  # when
        #: To be set whenever anything is heard of the device.
        self.heard = True
        self._timer = loop.call_later(interval, self.beat)

    def beat(self) -> None:
        """Look whether anything was heard since the last time."""
        if self.heard:
            self._asked = None
        elif self._asked is not None:
            if not self._is_busy(self._asked):
                self._give_up(f"nothing heard from the device for {2 * self._interval:g} s")
                return
        else:
            self._asked = self._loop.time()
            self._ask()
        self.heard = False
        self._timer = self._loop.call_later(self._interval, self.beat)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
