"""Checks at a fixed rate: they do not drift, do not overlap, and are not made up for.

The times of the checks are those of the first one plus multiples of the interval, whatever a check
takes. One that takes longer than the interval has the next left out.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from katcp.endpoints._blocking import running_loop
from katcp.endpoints._seldom import Seldom, kind_of

log = logging.getLogger("katcp.endpoints")

#: Shorter intervals are refused, so that a client cannot keep the loop busy [s].
SHORTEST_INTERVAL = 0.001

#: Single checks that may wait.
MAX_SINGLES = 100


def checked_interval(value: Any) -> float:
    """Return the interval of a schedule [s]; 0: none.

    Raises
    ------
    ValueError
        If it is no number, below 0, infinite, or above 0 but below 1 ms.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"schedule_interval must be a number, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("schedule_interval must be >= 0")
    if 0 < value < SHORTEST_INTERVAL:
        raise ValueError(f"schedule_interval must be 0 or at least {SHORTEST_INTERVAL:g} s")
    return float(value)


class Schedule:
    """Has something checked at a fixed rate.

    It can be turned on before there is a loop, and then starts when there is one. Its state can be
    changed from any thread.

    Parameters
    ----------
    check : callable
        Coroutine function; called with the time for which the check was planned, by the clock of
        the loop [s]. What it raises is logged, and the schedule goes on.
    interval : float
        Between two checks [s]; 0: none, and it cannot be turned on.
    delay_start : bool
        Whether the first check is one interval after it is turned on; else at once.
    on_change : callable, optional
        Called without arguments after it was turned on or off.

    Attributes
    ----------
    delay_start : bool
    skipped : int
        Checks left out because the one before was not over, or the loop was late.
    """

    def __init__(
        self,
        check: Callable[[float], Awaitable[Any]],
        interval: float = 0.0,
        *,
        delay_start: bool = False,
        on_change: Callable[[], object] | None = None,
    ) -> None:
        self._check = check
        self._interval = checked_interval(interval)
        self.delay_start = bool(delay_start)
        self._on_change = on_change
        self.skipped = 0
        self._on = False
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Checks run in it, and not in that of whoever turned it on, who may be in a lane.
        self._context = contextvars.Context()
        self._timer: asyncio.TimerHandle | None = None
        # Check number n is planned for origin + n * interval.
        self._origin = 0.0
        self._number = 0
        self._last = 0.0  # when the last check was planned, or it was turned on
        self._singles: set[asyncio.TimerHandle] = set()
        self._overdue: collections.deque[float] = collections.deque()
        self._running: asyncio.Task[Any] | None = None
        self._seldom = Seldom()

    # -- state --------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether it is turned on."""
        return self._on

    @property
    def interval(self) -> float:
        """Time between two checks [s]; 0: none.

        If it is on, the next check is one new interval after the last, or at once if that is over;
        an interval of 0 turns it off.
        """
        return self._interval

    @interval.setter
    def interval(self, value: float) -> None:
        value = checked_interval(value)
        if value == self._interval:
            return
        self._interval = value
        if not value:
            self.stop()
        elif self._on:
            self._in_loop(self._replan)

    def start(self) -> None:
        """Turn it on; nothing happens if it is on.

        Raises
        ------
        ValueError
            If it has no interval.
        """
        if not self._interval:
            raise ValueError("there is no schedule_interval")
        if self._on:
            return
        self._on = True
        self._in_loop(self._launch)
        self._changed()

    def stop(self) -> None:
        """Turn it off; a check that is under way ends. Single checks are still made."""
        if not self._on:
            return
        self._on = False
        self._in_loop(self._disarm)
        self._changed()

    def restart(self) -> None:
        """Turn it off and on, so that it begins anew.

        Raises
        ------
        ValueError
            If it has no interval; it stays as it was.
        """
        if not self._interval:
            raise ValueError("there is no schedule_interval")
        if not self._on:
            self.start()
        else:
            self._in_loop(self._launch)

    def once(self, delay: float) -> None:
        """Have one check made after a time [s]; this does not change the schedule.

        Raises
        ------
        ValueError
            For a time below 0, or infinite, or if too many wait already.
        RuntimeError
            If there is no loop yet, or no longer.
        """
        if not (math.isfinite(delay) and delay >= 0):
            raise ValueError("delay must be >= 0")
        if self._loop is None:
            raise RuntimeError("nothing serves this endpoint now")
        if len(self._singles) + len(self._overdue) >= MAX_SINGLES:
            raise ValueError(f"{MAX_SINGLES} single checks wait already")
        self._in_loop(self._plan_single, float(delay))

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    # -- the loop -----------------------------------------------------------------------

    def begin(self) -> None:
        """Take up work, in the loop that runs."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        if self._on:
            self._launch()

    def end(self) -> None:
        """Stop work, cancel a check that is under way, forget single ones; it stays turned on.

        In the loop. `begin` takes it up again.
        """
        self._disarm()
        for handle in self._singles:
            handle.cancel()
        self._singles.clear()
        self._overdue.clear()
        if self._running is not None:
            self._running.cancel()
        self._loop = None

    def _in_loop(self, function: Callable[..., None], *args: Any) -> None:
        loop = self._loop
        if loop is None:
            return
        if running_loop() is loop:
            function(*args)
            return
        try:
            loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            if not loop.is_closed():
                raise

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _launch(self) -> None:
        if self._loop is None or not self._on:
            return
        self._last = now = self._loop.time()
        self._plan(now + self._interval if self.delay_start else now)

    def _replan(self) -> None:
        if self._loop is not None and self._on:
            self._plan(max(self._loop.time(), self._last + self._interval))

    def _plan(self, origin: float) -> None:
        self._disarm()
        self._origin = origin
        self._number = 0
        self._arm(origin)

    def _arm(self, due: float) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_at(due, self._tick, due, context=self._context)

    def _tick(self, due: float) -> None:
        self._timer = None
        if self._loop is None or not self._on:
            return
        self._last = due
        if self._running is None:
            self._run(due)
        else:
            self.skipped += 1
        # What the loop was too late for is left out. Timers may also be a little early.
        late = self._loop.time() - self._origin
        number = max(self._number, math.floor(late / self._interval)) + 1
        self.skipped += number - self._number - 1
        self._number = number
        self._arm(self._origin + number * self._interval)

    def _plan_single(self, delay: float) -> None:
        loop = self._loop
        if loop is None:
            return
        due = loop.time() + delay

        def single() -> None:
            self._singles.discard(handle)
            if self._running is None:
                self._run(due)
            else:
                self._overdue.append(due)

        handle = loop.call_at(due, single, context=self._context)
        self._singles.add(handle)

    def _run(self, due: float) -> None:
        assert self._loop is not None
        self._running = self._loop.create_task(self._guarded(due))
        self._running.add_done_callback(self._over)

    async def _guarded(self, due: float) -> None:
        try:
            await self._check(due)
        except asyncio.CancelledError:
            raise
        except (Exception, SystemExit) as error:
            count = self._seldom.left_out(kind_of(error))
            if count is not None:
                log.exception("A scheduled check failed%s", Seldom.told(count))

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # such as KeyboardInterrupt, which the loop has seen
        if self._overdue and self._loop is not None:
            self._run(self._overdue.popleft())
