"""Noticing a device that is gone without a word: no FIN, no reset, just silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Asks a silent device for a sign of life, and gives it up if none comes.

    It takes between two and three intervals until a device that went silent is given up.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    interval : float
        Silence after which the device is asked, and again after which it is given up [s].
    ask : callable
        Asks the device for anything.
    give_up : callable
        Called with the reason.
    """

    __slots__ = ("_ask", "_asked", "_give_up", "_interval", "_loop", "_timer", "heard")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        ask: Callable[[], object],
        give_up: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._ask = ask
        self._give_up = give_up
        self._asked = False
        #: To be set whenever anything is heard of the device.
        self.heard = True
        self._timer = loop.call_later(interval, self.beat)

    def beat(self) -> None:
        """Look whether anything was heard since the last time."""
        if self.heard:
            self._asked = False
        elif self._asked:
            self._give_up(f"nothing heard from the device for {2 * self._interval:g} s")
            return
        else:
            self._asked = True
            self._ask()
        self.heard = False
        self._timer = self._loop.call_later(self._interval, self.beat)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
