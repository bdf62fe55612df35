"""One at a time on each instrument, many instruments at a time.

A bus takes one command at a time, so what is asked of the endpoints of a provider goes through its
lane, in the order in which it was asked. What is done on behalf of something that is in the lane
already (a command that reads another endpoint of the same provider) does not wait for itself.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import threading
from types import TracebackType

from katcp.endpoints._codes import ServiceError

#: An instrument that does not answer collects no more than so many requests.
MOST_WAITING = 5000

#: Turns that the present task is part of.
_TURNS: contextvars.ContextVar[tuple[_Turn, ...]] = contextvars.ContextVar("turns", default=())


class _Turn:
    """One stay in a lane."""

    __slots__ = ("lane",)

    def __init__(self, lane: Lane) -> None:
        self.lane: Lane | None = lane


class Lane:
    """A queue of one place, in the order of arrival; an asynchronous context manager each time."""

    __slots__ = ("_taken", "_waiting", "in_threads")

    def __init__(self) -> None:
        #: Held by what is done in a thread, which does not end with the turn that it was begun in.
        self.in_threads = threading.Lock()
        self._taken = False
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    @property
    def free(self) -> bool:
        """Whether one may go in without waiting: it is empty, or the present task is part of it."""
        return not self._taken or self._is_mine()

    def _is_mine(self) -> bool:
        return any(turn.lane is self for turn in _TURNS.get())

    def turn(self) -> _Stay:
        """Return an asynchronous context manager that waits for a turn, and ends it."""
        return _Stay(self)

    async def _enter(self) -> None:
        if not self._taken:
            self._taken = True
            return
        if len(self._waiting) >= MOST_WAITING:
            raise ServiceError(f"{MOST_WAITING} requests wait for their turn already")
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._leave()  # it was its turn, which goes to the next one
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _leave(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the lane stays taken, by that one
                return
        self._taken = False


class _Stay:
    """One turn in a lane, as a context manager."""

    __slots__ = ("_before", "_lane", "_turn")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._turn: _Turn | None = None
        self._before: contextvars.Token[tuple[_Turn, ...]] | None = None

    async def __aenter__(self) -> None:
        lane = self._lane
        if lane._is_mine():  # noqa: SLF001  # of this room
            return
        await lane._enter()  # noqa: SLF001
        self._turn = turn = _Turn(lane)
        # Tasks that are started meanwhile inherit it, and lose it with the turn.
        self._before = _TURNS.set((*_TURNS.get(), turn))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._turn is None or self._before is None:
            return
        self._turn.lane = None
        self._turn = None
        _TURNS.reset(self._before)
        self._lane._leave()  # noqa: SLF001
