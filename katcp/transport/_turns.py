"""Bad lines take long, so those who send them take turns.

A bad line costs several times what a good one does, and comes for free: ten clients that send
nothing else would have the loop to themselves, and everybody else would wait for all of them.

Plan: a connection that has sent bad lines lately is wary of its input. Of all such connections,
one has a piece of its input handled in a turn of the loop. Pieces that come from others in the
same turn are kept, a few kilobytes each, and TCP makes their senders wait; they are handled one a
turn, in the order in which they came. Nothing is lost, and the order of lines is kept. Connections
that send good lines never get here.
"""

from __future__ import annotations

import asyncio
import collections
from typing import Protocol


class Waiting(Protocol):
    """A connection that keeps a piece of its input."""

    def take_turn(self) -> bool:
        """Handle the piece; tell whether it is still of use."""


class Turns:
    """Lets one wary connection have its input handled in each turn of the loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    """

    __slots__ = ("_loop", "_taken", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._taken = False
        self._waiting: collections.deque[Waiting] = collections.deque()

    def claim(self) -> bool:
        """Take this turn of the loop, unless somebody has it; tell whether it was to be had."""
        if self._taken:
            return False
        self._taken = True
        self._loop.call_soon(self._next)
        return True

    def wait(self, connection: Waiting) -> None:
        """Have `connection` called when those have been that wait already."""
        self._waiting.append(connection)

    def _next(self) -> None:
        self._taken = False
        while self._waiting:
            if self._waiting.popleft().take_turn():
                break
