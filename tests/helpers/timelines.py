"""Timelines of sampling: when a sensor is set, and when its readings are to be sent.

`TIMELINES` are the ones that the protocol page has checked against two implementations; `naive`
computes others by the algorithm of the guidelines, word by word and with no thought for speed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest

from katcp.sensors import Sensor

NOMINAL, WARN = Sensor.NOMINAL, Sensor.WARN

#: When something was sent: time, value, status.
Sent = tuple[float, Any, int]


class Set(NamedTuple):
    """A sensor is set at a time."""

    when: float
    value: Any
    status: int = NOMINAL


class Timeline(NamedTuple):
    """A strategy, set at time 0 on a sensor with value `first`, and what comes of it."""

    label: str
    strategy: str
    first: Any
    sets: list[Set]
    sent: list[Sent]
    end: float


def _sent(*pairs: tuple[float, ...]) -> list[Sent]:
    return [(pair[0], pair[1], int(pair[2]) if len(pair) > 2 else NOMINAL) for pair in pairs]


TIMELINES = [
    Timeline(
        "event",
        "event",
        1.0,
        [Set(0.2, 1.0), Set(0.4, 1.0, WARN), Set(0.6, 2.0), Set(0.8, 2.0)],
        _sent((0, 1.0), (0.4, 1.0, WARN), (0.6, 2.0)),
        1.0,
    ),
    Timeline(
        "auto",
        "auto",
        1.0,
        [Set(0.2, 1.0), Set(0.4, 1.0), Set(0.6, 2.0)],
        _sent((0, 1.0), (0.2, 1.0), (0.4, 1.0), (0.6, 2.0)),
        1.0,
    ),
    Timeline(
        "differential",
        "differential 0.5",
        1.0,
        [Set(0.1, 1.5), Set(0.2, 1.51), Set(0.3, 1.6, WARN), Set(0.4, 2.0), Set(0.5, 2.2)],
        _sent((0, 1.0), (0.2, 1.51), (0.3, 1.6, WARN), (0.4, 2.0)),
        1.0,
    ),
    Timeline(
        "event-rate",
        "event-rate 0.4 1.0",
        1.0,
        [Set(0.1, 2), Set(0.2, 3), Set(0.9, 4), Set(1.0, 5), Set(1.1, 4), Set(2.6, 4)],
        _sent((0, 1), (0.4, 3), (0.9, 4), (1.3, 4), (2.3, 4), (3.3, 4)),
        3.5,
    ),
    Timeline(
        "event-rate, change undone",
        "event-rate 0.4 10",
        1.0,
        [Set(0.1, 2), Set(0.2, 1.0)],
        _sent((0, 1), (0.4, 1)),
        5.0,
    ),
    Timeline(
        "differential-rate",
        "differential-rate 0.5 0.4 1.0",
        1.0,
        [Set(0.1, 1.2), Set(0.6, 1.4), Set(0.7, 1.9)],
        _sent((0, 1.0), (0.7, 1.9), (1.7, 1.9)),
        2.0,
    ),
    Timeline(
        "period",
        "period 0.3",
        1.0,
        [Set(0.1, 2), Set(0.35, 9)],
        _sent((0, 1), (0.3, 2), (0.6, 9), (0.9, 9), (1.2, 9)),
        1.3,
    ),
]


def approx(sent: list[Sent]) -> list[Any]:
    """Return `sent` to be compared with times that were computed another way."""
    return [(pytest.approx(when, abs=1e-6), value, status) for when, value, status in sent]


def naive(timeline: Timeline, status: int = NOMINAL) -> list[Sent]:
    """Return what is sent, by the algorithm of the guidelines; `status` is the first one.

    A change that falls together with a timer is made before the timer runs out.
    """
    name, *params = timeline.strategy.split()
    numbers = [float(param) for param in params]
    d = numbers.pop(0) if name.startswith("differential") else None
    s, long = (numbers[0], numbers[1]) if name.endswith("rate") else (0.0, math.inf)
    p = numbers[0] if name == "period" else None
    sent: list[Sent] = []
    current = (timeline.first, status)
    last = current
    t_last = 0.0
    short_timer: float | None = None
    long_timer: float | None = None
    tick = 0

    def send(now: float) -> None:
        nonlocal last, t_last, short_timer, long_timer
        sent.append((now, *current))
        last, t_last, short_timer = current, now, None
        long_timer = now + long if math.isfinite(long) else None

    def same(a: float, b: float) -> bool:
        return a == b or (math.isnan(a) and math.isnan(b))

    def differs() -> bool:
        (value, status), (old, old_status) = current, last
        if status != old_status:
            return True
        if d is None:
            return not same(value, old)
        if not (math.isfinite(value) and math.isfinite(old)):
            return not same(value, old)
        return abs(value - old) > d

    def timers_until(end: float, *, including: bool) -> None:
        nonlocal tick
        while True:
            due = [t for t in (short_timer, long_timer) if t is not None]
            if p is not None:
                due.append((tick + 1) * p)
            if not due or min(due) > end or (min(due) == end and not including):
                return
            tick += p is not None
            send(min(due))

    send(0.0)
    for when, value, status in timeline.sets:
        timers_until(when, including=False)
        current = (value, status)
        if name in ("none", "period"):
            pass
        elif name == "auto":
            send(when)
        elif differs():
            if when >= t_last + s:
                send(when)
            elif short_timer is None:
                short_timer = t_last + s
        timers_until(when, including=True)
    timers_until(timeline.end, including=True)
    return sent
