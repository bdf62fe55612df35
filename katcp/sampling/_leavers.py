"""Ending the strategies of clients that have gone, for a short time in each turn of the loop.

Wanted: a client with 100,000 strategies goes, or 2,000 clients with 100 each go at once, and the
others do not notice. Each of these took more than 20 ms, in one turn.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from typing import Any

#: How long clients that go may keep the loop in one turn [s].
TIME_SLICE = 0.005
#: Strategies that are ended between two looks at the clock; they take 0.2 µs each.
PIECE = 1000


class Leavers:
    """Clients that have gone, and have strategies left.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    end : callable
        Called with (client, sensors): end the client's strategies on these, if there are any.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, end: Callable[[Any, list[Any]], object]
    ) -> None:
        self._loop = loop
        self._end = end
        self._clients: collections.deque[tuple[Any, list[Any]]] = collections.deque()
        self._next_turn: asyncio.Handle | None = None
        self._deadline = 0.0

    def add(self, client: Any, sensors: list[Any]) -> None:
        """End the strategies of a client: now, if that fits in this turn, or else soon."""
        self._clients.append((client, sensors))
        if self._next_turn is None:
            self._turn()
        else:
            self._work()

    def _turn(self) -> None:
        self._deadline = time.monotonic() + TIME_SLICE
        self._next_turn = None
        self._work()
        # Also when nothing is left: another client may go in this turn.
        self._next_turn = self._loop.call_soon(self._turned)

    def _turned(self) -> None:
        self._next_turn = None
        if self._clients:
            self._turn()

    def _work(self) -> None:
        clients = self._clients
        while clients and time.monotonic() < self._deadline:
            client, sensors = clients[0]
            some = sensors[-PIECE:]
            del sensors[-PIECE:]
            if not sensors:
                clients.popleft()
            self._end(client, some)

    def close(self) -> None:
        """Forget all; whoever calls it has ended their strategies."""
        self._clients.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
