"""Clients that have said nothing for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from katcp.server._connection import ClientConnection

#: So often is looked within the time that a client may be silent.
_LOOKS = 4


class IdleWatch:
    """Looks through the clients now and then; nothing is done for it when a message comes.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    timeout : float
        A client that has said nothing for so long, and waits for nothing, is given up, within
        half as long again [s].
    clients : iterable of ClientConnection
        Looked at anew each time.
    give_up : callable
        Called with a client.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        clients: Iterable[ClientConnection],
        give_up: Callable[[ClientConnection], object],
    ) -> None:
        self._loop = loop
        self._timeout = timeout
        self._clients = clients
        self._give_up = give_up
        #: When each client was last known not to be idle.
        self._heard: dict[ClientConnection, float] = {}
        self._timer = loop.call_later(timeout / _LOOKS, self._look)

    def _look(self) -> None:
        self._timer = self._loop.call_later(self._timeout / _LOOKS, self._look)
        now = self._loop.time()
        before, self._heard = self._heard, {}
        for client in list(self._clients):
            since = before.get(client, now)
            if client.was_heard() or client.occupied:
                since = now
            self._heard[client] = since
            if now - since >= self._timeout:
                self._give_up(client)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._heard.clear()
