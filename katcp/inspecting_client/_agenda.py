"""What has to be asked of the device, and how often it may be asked.

``#interface-changed`` says more or less exactly what has changed (KATCP guidelines 5.1,
"asynchronous informs"): one sensor, one request, all sensors, all requests, or anything. Whatever
comes while an inspection waits for its turn is done by that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: More than this many single sensors (or requests) are asked for by one list.
SINGLY = 50
#: An inspection of single names counts as this much of one by lists.
SHARE_OF_A_LIST = 0.1


@dataclass(frozen=True)
class Plan:
    """What one inspection asks.

    Attributes
    ----------
    all_sensors, all_requests : bool
    sensors, requests : tuple of str
        By name, where not all are asked.
    """

    all_sensors: bool = False
    all_requests: bool = False
    sensors: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()

    @property
    def cost(self) -> float:
        """What `RateLimit` is to count it as."""
        return 1.0 if self.all_sensors or self.all_requests else SHARE_OF_A_LIST


EVERYTHING = Plan(True, True)


@dataclass
class Agenda:
    """What has changed since the last inspection began."""

    _all_sensors: bool = False
    _all_requests: bool = False
    # Dicts, as they keep the order.
    _sensors: dict[str, None] = field(default_factory=dict)
    _requests: dict[str, None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._all_sensors or self._all_requests or self._sensors or self._requests)

    def note(self, arguments: Sequence[bytes]) -> None:
        """Take the arguments of ``#interface-changed``.

        A form that is not known means that anything may have changed.
        """
        what = arguments[0] if arguments else b""
        if what == b"sensor-list":
            self.add(Plan(all_sensors=True))
        elif what == b"request-list":
            self.add(Plan(all_requests=True))
        elif what in (b"sensor", b"request") and len(arguments) >= 2:
            try:
                name = arguments[1].decode("utf-8")
            except UnicodeDecodeError:
                self.add(EVERYTHING)
                return
            single = (name,)
            self.add(Plan(sensors=single) if what == b"sensor" else Plan(requests=single))
        else:
            self.add(EVERYTHING)

    def add(self, plan: Plan) -> None:
        """Put all of `plan` on the agenda."""
        self._all_sensors |= plan.all_sensors
        self._all_requests |= plan.all_requests
        self._sensors.update(dict.fromkeys(plan.sensors))
        self._requests.update(dict.fromkeys(plan.requests))

    def take(self) -> Plan:
        """Return the plan for all that is on the agenda, and clear it."""
        plan = self.plan()
        self.clear()
        return plan

    def plan(self) -> Plan:
        """Return the plan for all that is on the agenda."""
        all_sensors = self._all_sensors or len(self._sensors) > SINGLY
        all_requests = self._all_requests or len(self._requests) > SINGLY
        return Plan(
            all_sensors,
            all_requests,
            () if all_sensors else tuple(self._sensors),
            () if all_requests else tuple(self._requests),
        )

    def put_back(self, plan: Plan) -> None:
        """Put a plan that failed on the agenda again, by lists: names may be what failed."""
        self.add(
            Plan(
                plan.all_sensors or bool(plan.sensors),
                plan.all_requests or bool(plan.requests),
            )
        )

    def clear(self) -> None:
        """Forget everything."""
        self._all_sensors = self._all_requests = False
        self._sensors.clear()
        self._requests.clear()


class RateLimit:
    """Keeps a device that announces changes all the time from being inspected all the time.

    A few inspections in a row are free, so that what changes now and then is known at once; after
    that they come at `rate`, and those that take long come so seldom that they take `share` of the
    time at most. Inspections of single names are cheap, and may come more often (`Plan.cost`).

    Parameters
    ----------
    rate : float
        Inspections by lists per second in the long run.
    burst : float
        Inspections in a row that are free.
    share : float
        Largest share of the time to be spent inspecting.
    """

    def __init__(self, rate: float = 1.0, burst: float = 5.0, share: float = 0.2) -> None:
        self.rate = rate
        self.burst = burst
        self.share = share
        self._left = burst
        self._since: float | None = None

    def _refill(self, now: float) -> None:
        if self._since is not None:
            self._left = min(self.burst, self._left + (now - self._since) * self.rate)
        self._since = now

    def wait(self, now: float, cost: float = 1.0) -> float:
        """Return how long the next inspection has to wait [s]."""
        self._refill(now)
        return max(0.0, (cost - self._left) / self.rate)

    def spend(self, now: float, duration: float, cost: float = 1.0) -> None:
        """Take note of an inspection that took `duration` seconds."""
        self._refill(now)
        self._left -= max(cost, duration * self.rate / self.share)
