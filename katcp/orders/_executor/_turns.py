"""Who may try next: turns of orders to the same point, and slots for attempts."""

from __future__ import annotations

import asyncio
import collections


class Slots:
    """Places for attempts; those who find none wait in line.

    Parameters
    ----------
    number : int
        How many attempts there may be at once.
    """

    def __init__(self, number: int) -> None:
        if number < 1:
            raise ValueError(f"concurrency must be at least 1, not {number}")
        self.free = number
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    def take(self) -> bool:
        """Take one if there is one."""
        if not self.free:
            return False
        self.free -= 1
        return True

    def line_up(self) -> asyncio.Future[None]:
        """Return a future that is done when the caller has one; to be cancelled if not wanted."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def give_back(self) -> None:
        """Let the next have it."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.free += 1


class Turn:
    """The turn of one order at its point."""

    __slots__ = ("_lanes", "_name", "before", "over")

    def __init__(self, lanes: Lanes | None, name: str, before: asyncio.Future[None] | None) -> None:
        self._lanes = lanes
        self._name = name
        #: Done when it is this one's turn; None if it is.
        self.before = before
        self.over: asyncio.Future[None] | None = None

    def end(self) -> None:
        """Let the next have its turn, as soon as this one would have had its own."""
        lanes, self._lanes = self._lanes, None
        if lanes is None:
            return
        if self.before is None or self.before.done():
            self._let_next(lanes)
        else:  # given up before its turn had come
            self.before.add_done_callback(lambda _: self._let_next(lanes))

    def _let_next(self, lanes: Lanes) -> None:
        lanes.leave(self._name, self)
        if self.over is not None and not self.over.done():
            self.over.set_result(None)


class Lanes:
    """Turns of orders to the same point."""

    def __init__(self) -> None:
        self._last: dict[str, Turn] = {}

    def enter(self, name: str) -> Turn:
        """Line up."""
        last = self._last.get(name)
        before = None
        if last is not None:
            if last.over is None:
                last.over = asyncio.get_running_loop().create_future()
            before = last.over
        turn = self._last[name] = Turn(self, name, before)
        return turn

    def leave(self, name: str, turn: Turn) -> None:
        """Forget a point that nobody waits for."""
        if self._last.get(name) is turn:
            del self._last[name]


#: The turn of an order to no point.
NO_LANE = Turn(None, "", None)
