"""Many deadlines, one timer."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Protocol


class Sleeper(Protocol):
    """Something that wants waking."""

    wake_at: float


class Alarm:
    """Wakes sleepers at their `wake_at`, which they may move while they sleep.

    A sleeper that moved its time back is found out when the old time comes, which costs less
    than taking it out; one that moved it forward has to be put in again with `watch`.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Its ``time()`` is the clock.
    wake : callable
        Called with (sleeper, now) when its time has come.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[Sleeper, float], None]
    ) -> None:
        self._loop = loop
        self._wake = wake
        self._heap: list[tuple[float, int, Sleeper]] = []
        self._due: dict[int, float] = {}  # id of a sleeper -> earliest time it is in the heap for
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._forgotten = 0

    def watch(self, sleeper: Sleeper) -> None:
        """See to it that `sleeper` is woken at its `wake_at`."""
        when = sleeper.wake_at
        if when == float("inf") or self._due.get(id(sleeper), float("inf")) <= when:
            return
        self._due[id(sleeper)] = when
        heapq.heappush(self._heap, (when, next(self._order), sleeper))
        self._arm()

    def forget(self, sleeper: Sleeper) -> None:
        """Do not wake `sleeper` any more."""
        sleeper.wake_at = float("inf")
        self._forgotten += 1
        if self._forgotten > 64 and self._forgotten * 2 > len(self._heap):
            # They would stay until their time, which may be years away.
            self._forgotten = 0
            self._heap = [entry for entry in self._heap if entry[2].wake_at != float("inf")]
            heapq.heapify(self._heap)
            self._due = {id(sleeper): when for when, _, sleeper in sorted(self._heap, reverse=True)}

    def close(self) -> None:
        """Wake nobody any more."""
        self._heap.clear()
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        first = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= first:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(first, self._ring)

    def _ring(self) -> None:
        assert self._timer is not None
        # Timers may run out a little early, by the coarseness of the clock they run on.
        now = max(self._loop.time(), self._timer.when())
        self._timer = None
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, sleeper = heapq.heappop(heap)
            if self._due.get(id(sleeper)) != when:
                continue  # put in again for an earlier time, and served then
            del self._due[id(sleeper)]
            if sleeper.wake_at <= now:
                self._wake(sleeper, now)
            self.watch(sleeper)
        if heap:
            self._arm()
