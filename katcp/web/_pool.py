"""Visitors of ``/api`` and ``/metrics``: one for each computer, kept while it comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from typing import Any

from katcp.protocol import WireMessage
from katcp.server import Reception
from katcp.web._inventory import SensorInfo, list_sensors
from katcp.web._visitor import Visitor

#: A visitor that has asked for nothing for so long goes [s].
_IDLE = 120.0


class TooMany(Exception):
    """There are as many visitors as there may be."""


class Caller:
    """A visitor that asks again and again.

    What sensors there are is asked for once, and again after the device has said that it changed.
    """

    def __init__(
        self, reception: Reception, peername: tuple[str, int], peercert: dict[str, Any] | None
    ) -> None:
        self.visitor = Visitor(reception, peername, peercert=peercert, on_inform=self._take_inform)
        self.last = time.monotonic()
        self.users = 0
        # Older devices do not say when their sensors change.
        self._keeps = reception.protocol.major >= 5
        self._sensors: dict[str, SensorInfo] | None = None
        self._changes = 0

    def _take_inform(self, event: WireMessage) -> None:
        if event.name == b"interface-changed":
            self._changes += 1
            self._sensors = None

    async def sensors(self) -> dict[str, SensorInfo]:
        """Return the sensors of the device; not to be changed.

        Raises
        ------
        Refused, Gone, asyncio.TimeoutError
        """
        if self._sensors is not None:
            return self._sensors
        changes = self._changes
        found = await list_sensors(self.visitor)
        if self._keeps and changes == self._changes:
            self._sensors = found
        return found


class Callers:
    """Those that there are.

    Parameters
    ----------
    reception : Reception
    most : int
        So many at a time.
    """

    def __init__(self, reception: Reception, most: int) -> None:
        self._reception = reception
        self._most = most
        self._callers: dict[Hashable, Caller] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._callers)

    def visitors(self) -> list[Visitor]:
        """Return the visitors."""
        return [caller.visitor for caller in self._callers.values()]

    def get(self, peername: tuple[str, int], peercert: dict[str, Any] | None) -> Caller:
        """Return the caller for a computer (and its certificate); new if need be.

        Raises
        ------
        TooMany
        RuntimeError
            If the device is not served now.
        """
        key = (peername[0], repr(peercert))
        caller = self._callers.get(key)
        if caller is None or caller.visitor.closed:
            self._callers.pop(key, None)
            if len(self._callers) >= self._most:
                raise TooMany
            caller = self._callers[key] = Caller(self._reception, peername, peercert)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_IDLE / 2, self._tidy)
        caller.last = time.monotonic()
        return caller

    def _tidy(self) -> None:
        self._timer = None
        old = time.monotonic() - _IDLE
        for key, caller in list(self._callers.items()):
            if caller.visitor.closed or (caller.last < old and not caller.users):
                del self._callers[key]
                caller.visitor.close()
        if self._callers:
            self._timer = asyncio.get_running_loop().call_later(_IDLE / 2, self._tidy)

    def close(self) -> None:
        """Have all of them go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for caller in self._callers.values():
            caller.visitor.close()
        self._callers.clear()
