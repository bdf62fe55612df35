"""The strategies of the protocol as objects; what they decide is said in `katcp.sensors`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from katcp.sampling._strategy import SampleStrategy, update_in_ioloop
from katcp.sensors import Reading, Sampler, Sensor, difference_exceeds, next_tick


class SampleNone(SampleStrategy):
    """``none``: reports nothing."""

    _KIND: ClassVar[int | None] = SampleStrategy.NONE

    def start(self) -> None:
        """Do nothing."""


class SampleAuto(SampleStrategy):
    """``auto``: reports at the start and whenever the sensor is set."""

    _KIND: ClassVar[int | None] = SampleStrategy.AUTO
    OBSERVE_UPDATES: ClassVar[bool] = True

    @update_in_ioloop
    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Report the reading."""
        self.inform(reading)


class SamplePeriod(SampleStrategy):
    """``period PERIOD``: reports at the start and every PERIOD seconds from then.

    Attributes
    ----------
    next_timeout_handle : asyncio.TimerHandle or None
        The timer that is to make it.
    """

    _KIND: ClassVar[int | None] = SampleStrategy.PERIOD

    def __init__(
        self,
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(inform_callback, sensor, *params, **kwargs)
        self._period = self._plan.shortest
        self._origin = 0.0
        self._due = 0.0
        self.next_timeout_handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the next turn of the loop, with a report; callable from any thread."""
        self._call_soon(self._begin)

    def _begin(self) -> None:
        self._stop_timer()  # of a start before this one
        self._origin = self._due = self._now()
        self._run_once()

    def _run_once(self) -> None:
        # Timers may run out a little early, but a tick must not come twice.
        now = max(self._now(), self._due)
        # The n-th report is due n periods after the start; what is late by more is skipped.
        self._due = next_tick(self._origin, self._period, now)
        self.next_timeout_handle = self._call_at(self._due, self._run_once)
        self.inform(self._sensor.read())

    @property
    def next_time(self) -> float:
        """When the next report is due, by the loop's `time` [s]."""
        assert self.ioloop is not None
        return self.ioloop.time() + self._due - self._now()

    def cancel_timeouts(self) -> None:
        """Make no further reports; in the loop."""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self.next_timeout_handle is not None:
            self.next_timeout_handle.cancel()
            self.next_timeout_handle = None


class SampleDifferential(SampleStrategy):
    """``differential THRESHOLD``: reports changes of value by more than that, and of status."""

    _KIND: ClassVar[int | None] = SampleStrategy.DIFFERENTIAL
    OBSERVE_UPDATES: ClassVar[bool] = True

    def __init__(
        self,
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(inform_callback, sensor, *params, **kwargs)
        self._threshold = self._plan.difference
        if self._threshold <= 0:
            kind = "number of seconds" if sensor.stype == "timestamp" else sensor.stype
            raise ValueError(f"The diff amount must be a positive {kind}.")
        self._last: Reading | None = None

    def cancel(self) -> None:
        """End, for good or until the next `start`; callable from any thread, at any time."""
        super().cancel()
        self._last = None

    @update_in_ioloop
    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Report the reading if it is far enough from the last report."""
        if self._last is None or difference_exceeds(reading, self._last, self._threshold):
            self._last = reading
            self.inform(reading)


class SampleEventRate(SampleStrategy):
    """``event-rate SHORTEST LONGEST``: reports changes of value or status.

    A change is not reported before SHORTEST seconds have passed since the last report; then the
    present reading is, whatever it is by that time. LONGEST seconds after a report there is another
    one in any case.
    """

    _KIND: ClassVar[int | None] = SampleStrategy.EVENT_RATE
    OBSERVE_UPDATES: ClassVar[bool] = True

    def __init__(
        self,
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(inform_callback, sensor, *params, **kwargs)
        self._sampler: Sampler = self._plan.sampler()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_time = 0.0

    def cancel(self) -> None:
        """End, for good or until the next `start`; callable from any thread, at any time."""
        super().cancel()
        self._sampler = self._plan.sampler()

    @update_in_ioloop
    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Report the reading if it is news, now or when that is allowed."""
        sampler = self._sampler
        if sampler.last is None or sampler.offer(self._now(), reading):
            self.inform(reading)
        else:
            self._set_alarm()

    def inform(self, reading: Reading) -> None:
        """Report a reading; in the loop. The periods count from here."""
        self._sampler.sent(self._now(), reading)
        self._set_alarm()
        super().inform(reading)

    def _set_alarm(self) -> None:
        when = self._sampler.wake_at
        if self._alarm is not None:
            if self._alarm_time == when:
                return
            self._stop_timer()
        if when != float("inf"):
            self._alarm_time = when
            self._alarm = self._call_at(when, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        # Timers may run out a little early.
        if self._sampler.wake(max(self._now(), self._alarm_time)):
            self.inform(self._sensor.read())
        else:
            self._set_alarm()

    def cancel_timeouts(self) -> None:
        """Make no report that waits for its time; in the loop."""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class SampleEvent(SampleEventRate):
    """``event``: reports changes of value or status."""

    _KIND: ClassVar[int | None] = SampleStrategy.EVENT


class SampleDifferentialRate(SampleEventRate):
    """``differential-rate DIFFERENCE SHORTEST LONGEST``: as `SampleEventRate`, for larger changes.

    Attributes
    ----------
    difference : float or int
        Largest change of value that is not reported.
    """

    _KIND: ClassVar[int | None] = SampleStrategy.DIFFERENTIAL_RATE

    def __init__(
        self,
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(inform_callback, sensor, *params, **kwargs)
        self.difference = self._plan.difference


SampleStrategy._kinds = {  # noqa: SLF001  # of this package
    SampleStrategy.NONE: SampleNone,
    SampleStrategy.AUTO: SampleAuto,
    SampleStrategy.PERIOD: SamplePeriod,
    SampleStrategy.EVENT: SampleEvent,
    SampleStrategy.DIFFERENTIAL: SampleDifferential,
    SampleStrategy.EVENT_RATE: SampleEventRate,
    SampleStrategy.DIFFERENTIAL_RATE: SampleDifferentialRate,
}
