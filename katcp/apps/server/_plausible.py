"""Values that a sensor might have, around one that it had. No loop and no clock."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from katcp.apps.server._items import judge
from katcp.sensors import VALID_STATUSES, Reading, Sensor

#: Share of the nominal range, or of the value, that a number strays by.
_OF_RANGE, _OF_VALUE = 0.05, 0.02
#: How much of the way back to its first value a number goes in a step.
_BACK = 0.1
#: How often a word or a switch changes in a step, and how often it changes back.
_CHANGES, _CHANGES_BACK = 0.002, 0.1
#: A time that was this recent when the snapshot was taken goes on with the clock [s].
_RECENT = 60.0

#: Words that a device does not take for fun.
_TROUBLE = re.compile(r"fail|err|fault|bad|degrad|alarm|unknown|lost|broken", re.IGNORECASE)


@dataclass
class Motion:
    """How one sensor moves.

    Attributes
    ----------
    sensor : Sensor
        With its first reading.
    text : str
        Its value as it was on the wire: a number keeps its number of decimals.
    taken : float
        When the snapshot was taken [s since 1970].
    chance : random.Random
    """

    sensor: Sensor
    text: str
    taken: float
    chance: random.Random

    def __post_init__(self) -> None:
        """Look at what kind of sensor it is."""
        sensor = self.sensor
        self.first = sensor.value()
        self._present = self.first
        self._limits = _limits(sensor)
        #: What a number does not leave, if it was in there.
        self._range: tuple[float, float] | None = None
        if self._limits and self._limits[0] <= self.first <= self._limits[1]:
            self._range = (self._limits[0], self._limits[1])
        self._sigma = 0.0
        self._decimals = 0
        if sensor.type in ("integer", "float"):
            _, _, fraction = self.text.lower().partition("e")[0].partition(".")
            exponent = self.text.lower().partition("e")[2]
            shift = int(exponent) if re.fullmatch(r"[-+]?[0-9]{1,3}", exponent) else 0
            self._decimals = max(0, len(fraction) - shift) if sensor.type == "float" else 0
            self._sigma = self._spread()
        self._words = [
            word for word in (sensor.params if sensor.type == "discrete" else ())
            if word != self.first and not _TROUBLE.search(word)
        ]  # fmt: skip
        self._calm = sensor.type == "discrete" and _TROUBLE.search(str(self.first)) is not None

    def _spread(self) -> float:
        value = float(self.first)
        if not abs(value) < 1e300:  # nor anything that is no number
            return 0.0
        if self._range is not None:
            return (self._range[1] - self._range[0]) * _OF_RANGE
        if self.sensor.type == "integer" and abs(value) < 10:
            return 0.0  # a number of things, or one that stands for something
        return abs(value) * _OF_VALUE

    @property
    def moves(self) -> bool:
        """Whether it ever has another reading."""
        if self.sensor.status() not in VALID_STATUSES:
            return False
        kind = self.sensor.type
        if kind == "timestamp":
            return bool(0 <= self.taken - self.first < _RECENT)
        if kind == "discrete":
            return bool(self._words) and not self._calm
        return kind == "boolean" or self._sigma > 0

    def step(self, now: float) -> Reading:
        """Return the next reading.

        Parameters
        ----------
        now : float
            Seconds since 1970.
        """
        value = self._next(now)
        status = self.sensor.status()
        if len(self._limits) == 4:
            status = judge(value, self._limits)
        elif self._limits:
            low, high = self._limits
            status = Sensor.NOMINAL if low <= value <= high else max(status, Sensor.WARN)
        return Reading(now, status, value)

    def _next(self, now: float) -> Any:
        kind, chance = self.sensor.type, self.chance
        if kind == "timestamp":
            return now - (self.taken - self.first)
        if kind in ("boolean", "discrete"):
            if self._present != self.first:
                if chance.random() < _CHANGES_BACK:
                    self._present = self.first
            elif chance.random() < _CHANGES:
                self._present = not self.first if kind == "boolean" else chance.choice(self._words)
            return self._present
        # A walk that is drawn back has a spread of sigma, whatever the size of its steps.
        step = self._sigma * (1 - (1 - _BACK) ** 2) ** 0.5
        present = self.first + (self._present - self.first) * (1 - _BACK) + chance.gauss(0, step)
        self._present = present = self._held(present)
        return round(present) if kind == "integer" else self._held(round(present, self._decimals))

    def _held(self, value: float) -> float:
        """Return a number, or the limit that it is beyond."""
        return value if self._range is None else min(max(value, self._range[0]), self._range[1])


def _limits(sensor: Sensor) -> tuple[float, ...]:
    """Return the limits of a number that make sense: none, two or four."""
    if sensor.type not in ("integer", "float"):
        return ()
    limits = tuple(sensor.params)
    if len(limits) not in (2, 4) or not limits[0] <= limits[1]:
        return ()
    return limits
