"""When a sensor's readings are reported to one client: the strategies, without clock or loop.

A strategy, as a client asks for it, is a `Plan` (frozen, checked against the sensor). What one
client has been told of one sensor is the state of a *sampler*. A sampler is asked three things,
each with the time now, by a monotonic clock in seconds:

* ``offer(now, reading)``: a new reading is there; is it to be sent at once?
* ``wake_at``: when does it want to be woken (infinity: never)?
* ``wake(now)``: that time has come; is the present reading to be sent?

and told ``sent(now, reading)`` after each report, the first included. That first report is sent
when the strategy is set, before anything else (KATCP guidelines, "sensor sampling").
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from katcp.sensors._reading import Reading
from katcp.sensors._sensor import Sensor

NEVER = math.inf

#: No period is taken below this, so that a client cannot keep the loop busy [s].
PERIOD_FLOOR = 0.001

_INTEGER = re.compile(rb"[+-]?[0-9]+")


@dataclass(frozen=True)
class Plan:
    """A sampling strategy with its parameters, checked.

    Attributes
    ----------
    name : bytes
        Name of the strategy.
    params : tuple of bytes
        Parameters as the client wrote them; they are repeated in the reply.
    difference : float or int
        Smallest change that is *not* reported, for the differential kinds.
    shortest, longest : float
        Limits of the rate kinds; `shortest` is also the period of ``period`` [s].
    """

    name: bytes
    params: tuple[bytes, ...] = ()
    difference: Any = 0
    shortest: float = 0.0
    longest: float = NEVER

    def sampler(self) -> Sampler:
        """Make the state of one client and one sensor."""
        return _SAMPLERS[self.name](self)


def _text(raw: bytes) -> str:
    return raw[:80].decode("utf-8", "backslashreplace")


def _number(raw: bytes, what: str) -> float:
    try:
        if b"_" in raw or raw != raw.strip():
            raise ValueError
        value = float(raw)
    except ValueError:
        raise ValueError(f"Could not parse {what} '{_text(raw)}' as a number.") from None
    if math.isnan(value):
        raise ValueError(f"The {what} must not be nan.")
    return value


def _time(raw: bytes, what: str, major: int) -> float:
    value = _number(raw, what)
    return value if major >= 5 else value / 1000.0


def _count(name: str, params: Sequence[bytes], number: int) -> None:
    if len(params) != number:
        words = {0: "no parameters", 1: "one parameter", 2: "two parameters", 3: "three parameters"}
        raise ValueError(f"The '{name}' strategy takes {words[number]}.")


def _difference(raw: bytes, sensor: Sensor, major: int) -> Any:
    if sensor.stype == "integer":
        if _INTEGER.fullmatch(raw) is None:
            raise ValueError(f"Could not parse difference '{_text(raw)}' as an integer.")
        value: Any = int(raw)
        kind = "integer"
    elif sensor.stype == "timestamp":
        value = _time(raw, "difference", major)
        kind = "number of seconds"
    else:
        value = _number(raw, "difference")
        kind = "float"
    if value < 0:
        raise ValueError(f"The diff amount must be a positive {kind}.")
    return value


def _rates(shortest: bytes, longest: bytes, major: int, floor: float) -> tuple[float, float]:
    low = _time(shortest, "shortest period", major)
    high = _time(longest, "longest period", major)
    if not 0 <= low <= high or math.isinf(low):
        raise ValueError(
            "The shortest and longest periods must satisfy 0 <= shortest_period <= longest_period"
        )
    if high <= 0:
        raise ValueError("The longest period must be more than 0.")
    return low, max(high, floor)


def parse_strategy(
    name: bytes,
    params: Sequence[bytes],
    sensor: Sensor,
    major: int = 5,
    period_floor: float = PERIOD_FLOOR,
) -> Plan:
    """Check a strategy for a sensor.

    Parameters
    ----------
    name : bytes
        Name of the strategy.
    params : sequence of bytes
        Its parameters, as received.
    sensor : Sensor
        The sensor it is for.
    major : int
        Major version of the protocol; in 4 times are milliseconds.
    period_floor : float
        Shorter periods are refused [s].

    Raises
    ------
    ValueError
        With a text for the client, if the strategy does not exist in this version, does not
        fit the sensor, or has bad parameters.
    """
    strategy = name.decode("utf-8", "backslashreplace")
    if name not in _SAMPLERS:
        raise ValueError(f"Unknown strategy name: {_text(name)}.")
    if major < 5 and name in (b"event-rate", b"differential-rate"):
        raise ValueError(f"Strategy {strategy} not allowed for version {major} of katcp")
    given = tuple(params)
    if name == b"period":
        _count(strategy, given, 1)
        period = _time(given[0], "period", major)
        if not 0 < period < NEVER:
            raise ValueError("The period must be a positive float in seconds.")
        if period < period_floor:
            raise ValueError(f"The period must be at least {period_floor:g} s.")
        return Plan(name, given, shortest=period)
    if name == b"event-rate":
        _count(strategy, given, 2)
        low, high = _rates(given[0], given[1], major, period_floor)
        return Plan(name, given, shortest=low, longest=high)
    if name == b"differential":
        _count(strategy, given, 1)
        if sensor.stype not in ("integer", "float", "timestamp"):
            raise ValueError(
                "The 'differential' strategy is only valid for float, integer and "
                "timestamp sensors."
            )
        return Plan(name, given, difference=_difference(given[0], sensor, major))
    if name == b"differential-rate":
        _count(strategy, given, 3)
        if sensor.stype not in ("integer", "float"):
            raise ValueError(
                "The differential-rate strategy can only be defined for integer or float sensors"
            )
        difference = _difference(given[0], sensor, major)
        low, high = _rates(given[1], given[2], major, period_floor)
        return Plan(name, given, difference, low, high)
    _count(strategy, given, 0)
    return Plan(name, given)


# -- is a reading news? ------------------------------------------------------------------


def event_differs(reading: Reading, last: Reading) -> bool:
    """Tell whether value or status differ; two NaNs are the same value."""
    if reading[1] != last[1]:
        return True
    value, old = reading[2], last[2]
    if value == old:
        return False
    return not (value != value and old != old)  # both NaN


def difference_exceeds(reading: Reading, last: Reading, difference: Any) -> bool:
    """Tell whether the value moved by more than `difference`, or the status differs.

    A step between a finite value and NaN or infinity exceeds every difference.
    """
    if reading[1] != last[1]:
        return True
    value, old = reading[2], last[2]
    try:
        change = abs(value - old)
    except (TypeError, OverflowError):
        return bool(value != old)
    if change == change:  # not NaN
        # A difference may be infinite too.
        return bool(change > difference or change == math.inf)
    return event_differs(reading, last)


# -- samplers ----------------------------------------------------------------------------


class Sampler:
    """What one client has been told of one sensor. This one never reports (``none``)."""

    __slots__ = ("last", "plan", "wake_at")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.last: Any = None
        self.wake_at = NEVER

    def offer(self, now: float, reading: Reading) -> bool:
        """Tell whether a new reading is to be sent at once."""
        return False

    def wake(self, now: float) -> bool:
        """Tell whether, `wake_at` having come, the present reading is to be sent."""
        return now >= self.wake_at

    def sent(self, now: float, reading: Reading) -> None:
        """Take note that `reading` has been reported."""
        self.last = reading


class AutoSampler(Sampler):
    """``auto``: every reading."""

    __slots__ = ()

    def offer(self, now: float, reading: Reading) -> bool:
        """Tell whether a new reading is to be sent at once: always."""
        return True


class EventSampler(Sampler):
    """``event``: when value or status differ from the last report."""

    __slots__ = ()

    def offer(self, now: float, reading: Reading) -> bool:
        """Tell whether a new reading is to be sent at once."""
        return event_differs(reading, self.last)


class DifferentialSampler(Sampler):
    """``differential``: when the value differs by more than the threshold, or the status."""

    __slots__ = ()

    def offer(self, now: float, reading: Reading) -> bool:
        """Tell whether a new reading is to be sent at once."""
        return difference_exceeds(reading, self.last, self.plan.difference)


class EventRateSampler(Sampler):
    """``event-rate``: as event, not before `shortest`, and at the latest `longest` after a report.

    The limit delays and never drops: when the shortest period has passed, the present reading is
    sent, even if it has gone back to what was last reported.
    """

    __slots__ = ("last_time",)

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.last_time = -NEVER

    def _differs(self, reading: Reading) -> bool:
        return event_differs(reading, self.last)

    def offer(self, now: float, reading: Reading) -> bool:
        """Tell whether a new reading is to be sent at once; if it is news too soon, wait."""
        if not self._differs(reading):
            return False
        earliest = self.last_time + self.plan.shortest
        if now >= earliest:
            return True
        self.wake_at = min(self.wake_at, earliest)
        return False

    def sent(self, now: float, reading: Reading) -> None:
        """Take note of a report; the longest period counts from it."""
        self.last = reading
        self.last_time = now
        self.wake_at = now + self.plan.longest


class DifferentialRateSampler(EventRateSampler):
    """``differential-rate``: as differential, within the limits of a rate."""

    __slots__ = ()

    def _differs(self, reading: Reading) -> bool:
        return difference_exceeds(reading, self.last, self.plan.difference)


class PeriodSampler(Sampler):
    """``period``: on a fixed grid from the first report; ticks that were missed are skipped."""

    __slots__ = ("origin",)

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.origin: float | None = None

    def sent(self, now: float, reading: Reading) -> None:
        """Take note of a report and find the next tick."""
        self.last = reading
        if self.origin is None:
            self.origin = now
        self.wake_at = next_tick(self.origin, self.plan.shortest, now)


def next_tick(origin: float, period: float, now: float) -> float:
    """Return the first time on the grid ``origin + k * period`` that lies after `now`."""
    count = math.floor((now - origin) / period) + 1
    tick = origin + count * period
    # Rounding may have put it at or before now.
    return tick if tick > now else origin + (count + 1) * period


_SAMPLERS: dict[bytes, type[Sampler]] = {
    b"none": Sampler,
    b"auto": AutoSampler,
    b"event": EventSampler,
    b"period": PeriodSampler,
    b"differential": DifferentialSampler,
    b"event-rate": EventRateSampler,
    b"differential-rate": DifferentialRateSampler,
}

#: The strategy of a client that has set none.
NONE = Plan(b"none")
