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
import collections
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

    __slots__ = ("auto", "event", "event_last", "handed", "hops", "own", "sensor", "table", "used")

    def __init__(self, table: SamplingTable, sensor: Sensor) -> None:
        self.table = table
        self.sensor = sensor
        self.auto: dict[Subscriber, None] = {}
        self.event: dict[Subscriber, None] = {}
        self.event_last: Any = None
        self.own: dict[Subscriber, _Subscription] = {}
        self.used = 0
        #: Readings on their way here from other threads, and the last one of them.
        self.hops: collections.deque[Reading] = collections.deque()
        self.handed: Reading | None = None

    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Take a new reading (observer call, in whatever thread set the sensor)."""
        table = self.table
        if threading.get_ident() == table.thread:
            if self.hops:
                self.catch_up()
            self._report(reading)
            return
        with table.lock:
            # Threads may get here in another order than that in which they set the sensor; the
            # last to be handed over has to be the one that stays.
            present = sensor.reading
            if present is self.handed:
                return
            self.handed = present
            self.hops.append(present)
        table.loop.call_soon_threadsafe(self.catch_up)

    def catch_up(self) -> None:
        """Report what other threads have set; in the loop."""
        while self.hops:
            self._report(self.hops.popleft())

    def _report(self, reading: Reading) -> None:
        line = None
        if self.event and event_differs(reading, self.event_last):
            self.event_last = reading
            line = self.line_of(reading)
            for subscriber in self.event:
                subscriber.send_later(line)
        if self.auto:
            if line is None:
                line = self.line_of(reading)
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
                    line = self.line_of(reading)
                subscription.subscriber.send_later(line)
                sampler.sent(now, reading)
            if sampler.wake_at != subscription.wake_at:
                subscription.wake_at = sampler.wake_at
                table.alarm.watch(subscription)

    def line_of(self, reading: Reading) -> bytes:
        """Return the inform for a reading."""
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
        self.lock = threading.Lock()
        self.alarm = Alarm(loop, self._wake)
        self._periods = PeriodGroups(loop, major)
        self._hubs: dict[Sensor, _Hub] = {}
        self._clients: dict[Subscriber, dict[Sensor, _Subscription]] = {}

    def get(self, subscriber: Subscriber, sensor: Sensor) -> Plan:
        """Return the strategy of a client on a sensor."""
        subscription = self._clients.get(subscriber, {}).get(sensor)
        return NONE if subscription is None else subscription.plan

    def sensors_of(self, subscriber: Subscriber) -> list[Sensor]:
        """Return the sensors that a client has strategies on."""
        return list(self._clients.get(subscriber, ()))

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
            if kind == b"period":
                tails.append(sensor.wire_reading(major))
                if group is None:
                    group = self._periods.join(plan.shortest, now)
                group.add(subscriber, sensor)
                subscription.group = group
                continue
            # Attached before it is read: what another thread sets meanwhile is not missed.
            if not (hub.auto or hub.event or hub.own):
                sensor.attach(hub)
            elif hub.hops:
                hub.catch_up()
            reading = sensor.reading
            tails.append(sensor.wire_reading(major))
            if kind == b"event" and not (hub.event and event_differs(reading, hub.event_last)):
                # The others' last report has this value and status as well. (It has not if
                # another thread has set the sensor and they are still to be told of it. Then this
                # client, who has been told, gets a state of its own.)
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

    def close(self) -> None:
        """End all strategies, and let go of sensors, clients and loop."""
        for subscriber in list(self._clients):
            self.clear(subscriber)
        self.alarm.close()

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
                # The alarm may keep the subscription until its time, but not the client.
                del subscription.subscriber, subscription.hub
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
            hub = subscription.hub
            reading = hub.sensor.reading
            subscription.subscriber.send_later(hub.line_of(reading))
            sampler.sent(now, reading)
        subscription.wake_at = sampler.wake_at
