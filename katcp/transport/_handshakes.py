"""Connections to a server whose TLS handshake is not done: few, for a short time, one at a time.

A handshake takes a server a millisecond, and whoever can connect may ask for one. Plan: a thousand
clients that come at once have theirs done one after the other, with other work in between. Of
those that are not done there is a largest number; one more, and the one goes that has been silent
for longest. Each has a time limit, whatever it sends. Failures are logged, a few a second.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import time
from collections.abc import Callable
from typing import Any

from katcp.transport._tcp import format_address
from katcp.transport._tls import TlsLayer
from katcp.transport._tls_reasons import TlsError

#: How long handshakes may keep the loop before others get a turn [s].
_SLICE = 0.005
#: So many failures in a second are logged as warnings, further ones as of no importance.
_WARNINGS = 5
#: How long the end of a server waits for those that are dropped to be gone [s].
_END = 1.0


class Handshakes:
    """Looks after the handshakes of a server; see `Keeper`.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    most : int
        So many may be under way.
    logger : logging.Logger
    admits : callable, optional
        Called with the address of a newcomer; tells whether it may begin.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        most: int,
        logger: logging.Logger,
        admits: Callable[[Any], bool] = lambda peer: True,
    ) -> None:
        self._admits = admits
        self._loop = loop
        self._most = most
        self._logger = logger
        # In the order in which they came.
        self._silent: dict[TlsLayer, None] = {}
        self._talking: dict[TlsLayer, None] = {}
        self._ready: collections.deque[TlsLayer] = collections.deque()
        self._ending: asyncio.Future[None] | None = None
        self._second = 0
        self._warned = 0

    def __len__(self) -> int:
        return len(self._silent) + len(self._talking)

    def began(self, layer: TlsLayer) -> None:
        """Take a newcomer, maybe in place of another."""
        if self._ending is not None or not self._admits(layer.peer):
            layer.abort()
        elif len(self) >= self._most:
            crowd = self._silent or self._talking
            oldest = next(iter(crowd))
            del crowd[oldest]
            oldest.abort()
        self._silent[layer] = None

    def ready(self, layer: TlsLayer) -> None:
        """Go on with a handshake when it is its turn."""
        self._silent.pop(layer, None)
        self._talking[layer] = None
        if not self._ready:
            self._loop.call_soon(self._go_on)
        self._ready.append(layer)

    def _go_on(self) -> None:
        end = time.monotonic() + _SLICE
        ready = self._ready
        while ready:
            layer = ready.popleft()
            try:
                layer.step()
            except Exception:  # a hook's: the others have nothing to do with it
                self._logger.exception("The connection of %s failed", _name(layer))
                layer.abort()
            if time.monotonic() >= end:
                break
        if ready:
            self._loop.call_soon(self._go_on)

    def opened(self, layer: TlsLayer) -> None:
        """Leave one that is done to the server."""
        self._forget(layer)

    def failed(self, layer: TlsLayer, error: TlsError) -> None:
        """Log it."""
        if self._ending is not None:
            return
        level = logging.DEBUG if layer.is_silent else self._level()
        self._logger.log(level, "No TLS with %s: %s", _name(layer), error)

    def _level(self) -> int:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._warned = 0
        self._warned += 1
        return logging.WARNING if self._warned <= _WARNINGS else logging.DEBUG

    def gone(self, layer: TlsLayer) -> None:
        """Forget one that was not done."""
        self._forget(layer)

    def _forget(self, layer: TlsLayer) -> None:
        self._silent.pop(layer, None)
        self._talking.pop(layer, None)
        if self._ending is not None and not self and not self._ending.done():
            self._ending.set_result(None)

    async def end(self) -> None:
        """Drop all of them, and those that may yet come."""
        self._ending = self._loop.create_future()
        self._ready.clear()
        layers = [*self._silent, *self._talking]
        for layer in layers:
            layer.abort()
        if layers:
            await asyncio.wait([self._ending], timeout=_END)


def _name(layer: TlsLayer) -> str:
    return format_address(layer.peer)
