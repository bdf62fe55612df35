"""The ``period`` strategy of all clients and sensors: one timer and one pass for each period."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katcp.sampling._audience import PREFIX
from katcp.sensors import Sensor, next_tick, wire_readings

if TYPE_CHECKING:
    from katcp.sampling._audience import Subscriber

#: Clients whose ticks would fall this near to each other share them [s, share of the period].
#: Requests for single sensors that come one after the other end up in one group that way.
_SHARED_PHASE = (0.005, 0.05)


class PeriodGroup:
    """Clients and sensors that share a period and its phase."""

    def __init__(self, groups: PeriodGroups, period: float, origin: float) -> None:
        self._groups = groups
        self.period = period
        self.origin = origin
        self._members: dict[Subscriber, dict[Sensor, None]] = {}
        #: The same by sensors: clients of the same sensors are written to at once.
        self._parts: list[tuple[tuple[Sensor, ...], list[Subscriber]]] | None = None
        self._timer: asyncio.TimerHandle
        self.due = origin
        self._arm(origin)

    def _arm(self, now: float) -> None:
        self.due = next_tick(self.origin, self.period, now)
        self._timer = self._groups.loop.call_at(self.due, self._tick)

    def _tick(self) -> None:
        if self._parts is None:
            parts: dict[tuple[Sensor, ...], list[Subscriber]] = {}
            for subscriber, members in self._members.items():
                parts.setdefault(tuple(members), []).append(subscriber)
            self._parts = list(parts.items())
        for sensors, subscribers in self._parts:
            lines = PREFIX + PREFIX.join(wire_readings(sensors, self._groups.major))
            for subscriber in subscribers:
                subscriber.send(lines)
        # A tick that came late by more than a period is not made up for. One may also come a
        # little early, where timers have a coarser clock than the loop; it must not come twice.
        self._arm(max(self._groups.loop.time(), self.due))

    def add(self, subscriber: Subscriber, *sensors: Sensor) -> None:
        """Report `sensors` to `subscriber` at every tick."""
        self._members.setdefault(subscriber, {}).update(dict.fromkeys(sensors))
        self._parts = None

    def remove(self, subscriber: Subscriber, sensor: Sensor) -> None:
        """Stop that; a group without members ends."""
        sensors = self._members[subscriber]
        del sensors[sensor]
        self._parts = None
        if not sensors:
            del self._members[subscriber]
        if not self._members:
            self._timer.cancel()
            self._groups.drop(self)


class PeriodGroups:
    """All period groups of a server."""

    def __init__(self, loop: asyncio.AbstractEventLoop, major: int) -> None:
        self.loop = loop
        self.major = major
        self._groups: dict[float, list[PeriodGroup]] = {}

    def join(self, period: float, now: float) -> PeriodGroup:
        """Return the group of `period` whose ticks fall where a grid begun now would have them."""
        limit = min(_SHARED_PHASE[0], period * _SHARED_PHASE[1])
        for group in self._groups.get(period, ()):
            # Only behind a tick, so that the next one is (nearly) a whole period away.
            if (now - group.origin) % period <= limit and group.due > now:
                return group
        group = PeriodGroup(self, period, now)
        self._groups.setdefault(period, []).append(group)
        return group

    def drop(self, group: PeriodGroup) -> None:
        """Forget a group that has no members left."""
        groups = self._groups[group.period]
        groups.remove(group)
        if not groups:
            del self._groups[group.period]
