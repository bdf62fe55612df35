"""Who is told what: the sampling strategies of all clients of a server.

Operations wanted: a sensor is set, and everybody whose strategy says so gets one line; a client
sets a strategy for one sensor or a thousand; a client or a sensor goes.

Plan: each sampled sensor has a hub that observes it. Clients with ``event`` share one state per
sensor, since whoever subscribes is sent the present reading: what any of them was last told has
the same value and status. The same holds, trivially, for ``auto``. So an update is compared and
written once, however many clients there are. Periods are shared too (`_periods`); the other
strategies depend on when a client subscribed, and each has a sampler of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, Protocol

from katcp.sampling._periods import PeriodGroup, PeriodGroups
from katcp.sampling._timers import Alarm, Sleeper
from katcp.sensors import NONE, Plan, Reading, Sampler, Sensor, event_differs

_PREFIX = b"#sensor-status"


class Subscriber(Protocol):
    """A client connection, as far as sampling is concerned."""

    def send(self, line: bytes) -> None:
        """Send by the end of the turn."""

    def send_later(self, line: bytes) -> None:
        """Send, possibly after waiting a moment for company."""


class _Subscription:
    """One strategy of one client on one sensor."""

    __slots__ = ("group", "hub", "plan", "sampler", "subscriber", "wake_at")

    def __init__(self, subscriber: Subscriber, hub: _Hub, plan: Plan) -> None:
        self.subscriber = subscriber
        self.hub = hub
        self.plan = plan
        self.sampler: Sampler | None = None
        self.group: PeriodGroup | None = None
        self.wake_at = float("inf")


class _Hub:
    """Everybody who samples one sensor."""

    __slots__ = ("auto", "event", "event_last", "own", "sensor", "table", "used")

    def __init__(self, table: SamplingTable, sensor: Sensor) -> None:
        self.table = table
        self.sensor = sensor
        self.auto: dict[Subscriber, None] = {}
        self.event: dict[Subscriber, None] = {}
        self.event_last: Any = None
        self.own: dict[Subscriber, _Subscription] = {}
        self.used = 0

    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Take a new reading (observer call, in whatever thread set the sensor)."""
        table = self.table
        if threading.get_ident() != table.thread:
            table.loop.call_soon_threadsafe(self._report, reading)
        else:
            self._report(reading)

    def _report(self, reading: Reading) -> None:
        line = None
        if self.event and event_differs(reading, self.event_last):
            self.event_last = reading
            line = self._line(reading)
            for subscriber in self.event:
                subscriber.send_later(line)
        if self.auto:
            if line is None:
                line = self._line(reading)
            for subscriber in self.auto:
                subscriber.send_later(line)
        if self.own:
            self._report_own(reading, line)

    def _report_own(self, reading: Reading, line: bytes | None) -> None:
        table = self.table
        now = table.loop.time()
        for subscription in self.own.values():
            sampler = subscription.sampler
            assert sampler is not None
            if sampler.offer(now, reading):
                if line is None:
                    line = self._line(reading)
                subscription.subscriber.send_later(line)
                sampler.sent(now, reading)
            if sampler.wake_at != subscription.wake_at:
                subscription.wake_at = sampler.wake_at
                table.alarm.watch(subscription)

    def _line(self, reading: Reading) -> bytes:
        # Between a set in another thread and this call the sensor may have moved on; then the
        # reading that was handed over is the one to report.
        sensor = self.sensor
        major = self.table.major
        if sensor.reading is reading:
            return _PREFIX + sensor.wire_reading(major)
        return _PREFIX + sensor.wire_text(reading, major)


class SamplingTable:
    """The strategies of all clients of one server. To be used in its loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    major : int
        Major version of the protocol, for the unit of times.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, major: int) -> None:
        self.loop = loop
        self.major = major
        self.thread = threading.get_ident()
        self.alarm = Alarm(loop, self._wake)
        self._periods = PeriodGroups(loop, major)
        self._hubs: dict[Sensor, _Hub] = {}
        self._clients: dict[Subscriber, dict[Sensor, _Subscription]] = {}

    def get(self, subscriber: Subscriber, sensor: Sensor) -> Plan:
        """Return the strategy of a client on a sensor."""
        subscription = self._clients.get(subscriber, {}).get(sensor)
        return NONE if subscription is None else subscription.plan

    def set(self, subscriber: Subscriber, sensors: Iterable[Sensor], plan: Plan) -> None:
        """Give a client one strategy on some sensors, and send it their present readings.

        The strategy must have been checked against each sensor (`parse_strategy`).
        """
        mine = self._clients.setdefault(subscriber, {})
        now = self.loop.time()
        major = self.major
        kind = plan.name
        tails: list[bytes] = []
        group: PeriodGroup | None = None
        for sensor in sensors:
            old = mine.get(sensor)
            if old is not None:
                self._end(mine, sensor, old)
            if kind == b"none":
                continue
            hub = self._hubs.get(sensor)
            if hub is None:
                hub = self._hubs[sensor] = _Hub(self, sensor)
            mine[sensor] = subscription = _Subscription(subscriber, hub, plan)
            hub.used += 1
            reading = sensor.reading
            tails.append(sensor.wire_reading(major))
            if kind == b"period":
                if group is None:
                    group = self._periods.join(plan.shortest, now)
                group.add(subscriber, sensor)
                subscription.group = group
                continue
            if not (hub.auto or hub.event or hub.own):
                sensor.attach(hub)
            if kind == b"event":
                # The others' last report has this value and status as well, or they are being
                # told of it at this moment.
                if not hub.event:
                    hub.event_last = reading
                hub.event[subscriber] = None
            elif kind == b"auto":
                hub.auto[subscriber] = None
            else:
                subscription.sampler = sampler = plan.sampler()
                hub.own[subscriber] = subscription
                sampler.sent(now, reading)
                subscription.wake_at = sampler.wake_at
                self.alarm.watch(subscription)
        if tails:
            subscriber.send(_PREFIX + _PREFIX.join(tails))
        if not mine:
            del self._clients[subscriber]

    def clear(self, subscriber: Subscriber) -> None:
        """End all strategies of a client."""
        mine = self._clients.pop(subscriber, {})
        for sensor, subscription in list(mine.items()):
            self._end(mine, sensor, subscription)

    def drop_sensor(self, sensor: Sensor) -> None:
        """End all strategies on a sensor."""
        if sensor not in self._hubs:
            return
        for subscriber, mine in list(self._clients.items()):
            subscription = mine.get(sensor)
            if subscription is not None:
                self._end(mine, sensor, subscription)
                if not mine:
                    del self._clients[subscriber]

    def _end(
        self, mine: dict[Sensor, _Subscription], sensor: Sensor, subscription: _Subscription
    ) -> None:
        del mine[sensor]
        hub = subscription.hub
        subscriber = subscription.subscriber
        hub.used -= 1
        if subscription.group is not None:
            subscription.group.remove(subscriber, sensor)
        else:
            hub.auto.pop(subscriber, None)
            hub.event.pop(subscriber, None)
            if hub.own.pop(subscriber, None) is not None:
                self.alarm.forget(subscription)
            if not (hub.auto or hub.event or hub.own):
                sensor.detach(hub)
        if not hub.used:
            del self._hubs[sensor]

    def _wake(self, sleeper: Sleeper, now: float) -> None:
        subscription = sleeper
        assert isinstance(subscription, _Subscription)
        sampler = subscription.sampler
        assert sampler is not None
        if sampler.wake(now):
            sensor = subscription.hub.sensor
            subscription.subscriber.send_later(_PREFIX + sensor.wire_reading(self.major))
            sampler.sent(now, sensor.reading)
        subscription.wake_at = sampler.wake_at
