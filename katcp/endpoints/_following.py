"""Sensors that something computes with: kept in sight while they come, change and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from katcp.sensors import STATUSES, VALID_STATUSES, Reading, Sensor, SensorSet

#: Statuses that say that nothing is known yet, rather than that something is broken.
_NOT_YET = frozenset((Sensor.UNKNOWN, Sensor.INACTIVE))


class Part(NamedTuple):
    """What is known of one of the values that something is computed from.

    Attributes
    ----------
    value : object
        None: not known yet.
    timestamp : float
        [seconds since 1970].
    failure : str
        Why there is no value; empty: nothing is wrong.
    """

    value: Any
    timestamp: float
    failure: str = ""


def part_of(sensor: Sensor | None) -> Part:
    """Return what a sensor says; of None, that there is no such sensor."""
    if sensor is None:
        return Part(None, 0.0, "there is no such sensor")
    timestamp, status, value = sensor.read()
    if status in VALID_STATUSES:
        return Part(value, timestamp)
    if status in _NOT_YET:
        return Part(None, timestamp)
    return Part(None, timestamp, f"its status is {STATUSES[status]}")


class _Watch:
    """Observes sensors; not two of it are equal, so that each is attached for itself."""

    __slots__ = ("changed",)

    def __init__(self, changed: Callable[[], object]) -> None:
        self.changed = changed

    def update(self, sensor: Any, reading: Reading) -> None:
        """Take note of a reading."""
        self.changed()


class Following:
    """Calls back when one of some sensors has a new reading, or there are others.

    Parameters
    ----------
    sensors : SensorSet
        Of the device.
    resolve : callable
        Returns the sensors by what they are called for whom this is; None for one that there is
        not. Asked when it begins, and after sensors have come or gone.
    changed : callable
        Called without arguments, in the thread in which the reading was set.
    """

    def __init__(
        self,
        sensors: SensorSet,
        resolve: Callable[[], Mapping[str, Sensor | None]],
        changed: Callable[[], object],
    ) -> None:
        self._sensors = sensors
        self._resolve = resolve
        self._changed = changed
        self._watch = _Watch(changed)
        self._attached: dict[str, Sensor | None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._again: asyncio.Handle | None = None

    @property
    def sensors(self) -> Mapping[str, Sensor | None]:
        """Those that are followed now, by name."""
        return self._attached

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, in the loop of the device; once more changes nothing."""
        if self._loop is None:
            self._loop = loop
            self._sensors.add_add_callback(self._come_or_gone)
            self._sensors.add_remove_callback(self._come_or_gone)
            self._look()

    def end(self) -> None:
        """Follow nothing any more."""
        if self._loop is None:
            return
        self._loop = None
        self._sensors.remove_add_callback(self._come_or_gone)
        self._sensors.remove_remove_callback(self._come_or_gone)
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._detach(self._attached.values())
        self._attached = {}

    def _come_or_gone(self, sensor: Any) -> None:
        # Thousands may come in one go, from any thread.
        if self._loop is not None and self._again is None:
            self._again = self._loop.call_soon_threadsafe(self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._loop is not None:
            self._look()

    def _look(self) -> None:
        found = dict(self._resolve())
        if found == self._attached:  # sensors are equal only to themselves
            return
        self._detach(set(self._attached.values()) - set(found.values()))
        for sensor in set(found.values()) - set(self._attached.values()):
            if sensor is not None:
                sensor.attach(self._watch)
        self._attached = found
        self._changed()

    def _detach(self, sensors: Iterable[Sensor | None]) -> None:
        for sensor in set(sensors):
            if sensor is not None:
                sensor.detach(self._watch)
