"""The ``period`` strategy of all clients and sensors: one timer and one pass for each period."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from katcp.sampling._audience import PREFIX
from katcp.sensors import Sensor, next_tick, wire_readings

if TYPE_CHECKING:
    from katcp.sampling._audience import Subscriber

#: Clients whose ticks would fall this near to each other share them [s, share of the period].
#: Requests for single sensors that come one after the other end up in one group that way.
_SHARED_PHASE = (0.005, 0.05)

#: Sensors that are written in one turn of the loop. Each takes 0.8 µs if it is fresh: 100,000 of
#: them would keep everybody waiting for as much as 80 ms.
_SENSORS_AT_ONCE = 4000


#: Some sensors, and the clients that are sent them.
_Part: TypeAlias = "tuple[tuple[Sensor, ...], list[Subscriber]]"


class PeriodGroup:
    """Clients and sensors that share a period and its phase."""

    def __init__(self, groups: PeriodGroups, period: float, origin: float) -> None:
        self._groups = groups
        self.period = period
        self.origin = origin
        self._members: dict[Subscriber, dict[Sensor, None]] = {}
        #: The same by sensors: clients of the same sensors are written to at once.
        self._parts: list[_Part] | None = None
        #: What is left to send of the present tick.
        self._rest: collections.deque[_Part] = collections.deque()
        self._timer: asyncio.TimerHandle
        self.due = origin
        self._arm(origin)

    def _arm(self, now: float) -> None:
        self.due = next_tick(self.origin, self.period, now)
        self._timer = self._groups.loop.call_at(self.due, self._tick)

    def _tick(self) -> None:
        if not self._rest:  # else the last tick is still being written; this one is left out
            if self._parts is None:
                self._parts = self._divide()
            self._rest.extend(self._parts)
            self._go_on()
        # A tick that came late by more than a period is not made up for. One may also come a
        # little early, where timers have a coarser clock than the loop; it must not come twice.
        self._arm(max(self._groups.loop.time(), self.due))

    def _divide(self) -> list[_Part]:
        """Return what each tick has to send, in pieces of which one does not take long."""
        audiences: dict[tuple[Sensor, ...], list[Subscriber]] = {}
        for subscriber, members in self._members.items():
            audiences.setdefault(tuple(members), []).append(subscriber)
        return [
            (sensors[start : start + _SENSORS_AT_ONCE], subscribers)
            for sensors, subscribers in audiences.items()
            for start in range(0, len(sensors), _SENSORS_AT_ONCE)
        ]

    def _go_on(self) -> None:
        """Send some, and the rest in further turns of the loop."""
        count = 0
        while self._rest and count < _SENSORS_AT_ONCE:
            sensors, subscribers = self._rest.popleft()
            count += len(sensors)
            self._send(sensors, subscribers)
        if self._rest:
            self._groups.loop.call_soon(self._go_on)

    def _send(self, sensors: tuple[Sensor, ...], subscribers: list[Subscriber]) -> None:
        if self._parts is None:  # somebody has come or gone since the tick began
            for subscriber in subscribers:
                members = self._members.get(subscriber, {})
                self._send_to([subscriber], [sensor for sensor in sensors if sensor in members])
        else:
            self._send_to(subscribers, sensors)

    def _send_to(self, subscribers: list[Subscriber], sensors: Sequence[Sensor]) -> None:
        if sensors:
            lines = PREFIX + PREFIX.join(wire_readings(sensors, self._groups.major))
            for subscriber in subscribers:
                subscriber.send(lines)

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
            self._rest.clear()
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
