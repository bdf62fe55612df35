"""Readings of a thing that is looked at from time to time, and the sensors made of them.

A probe returns everything that it sees as a list of frozen items. `SensorBoard` makes the sensors
of a device follow that list: new names become sensors, known ones get new readings, names that
are gone lose theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from katcp.sensors import VALID_STATUSES, Sensor

Make = Callable[..., Sensor]


@dataclass(frozen=True)
class Item:
    """What one sensor is, and its reading.

    Attributes
    ----------
    name : str
    make : function
        Constructor of the sensor: ``Sensor.float`` and so on.
    value : object
        Of the sensor's type; None if there is none (status unknown).
    description : str
    units : str
    limits : tuple of float
        Limits of a number: nothing, or the nominal range and the range of a warning
        (``nominal-min nominal-max warn-min warn-max`` in ``?sensor-list``).
    status : int, optional
        A status constant; by default it goes by the limits.
    """

    name: str
    make: Make
    value: Any
    description: str
    units: str = ""
    limits: tuple[float, ...] = ()
    status: int | None = field(default=None)

    def judged(self) -> int:
        """Return the status of the reading."""
        if self.status is not None:
            return self.status
        if self.value is None:
            return Sensor.UNKNOWN
        return judge(self.value, self.limits)

    def sensor(self) -> Sensor:
        """Return a sensor for it, without a reading."""
        extra: dict[str, Any] = {"unit": self.units} if self.units else {}
        if self.limits:
            extra["params"] = list(self.limits)
        return self.make(self.name, self.description, **extra)


def judge(value: float, limits: Sequence[float]) -> int:
    """Return the status of a number: nominal, outside that warn, outside both error.

    As ``?sensor-list`` promises to clients by the limits that it shows (KATCP guidelines,
    "sensor-list"). Without limits everything is nominal.
    """
    if not limits:
        return Sensor.NOMINAL
    nominal_min, nominal_max, warn_min, warn_max = limits
    if nominal_min <= value <= nominal_max:
        return Sensor.NOMINAL
    return Sensor.WARN if warn_min <= value <= warn_max else Sensor.ERROR


class Device(Protocol):
    """What a board needs of a device."""

    def add_sensor(self, sensor: Sensor) -> None:
        """Add a sensor."""

    def remove_sensor(self, sensor: Sensor | str) -> None:
        """Remove a sensor."""


class SensorBoard:
    """Keeps the sensors of a device in step with what a group of probes sees.

    Parameters
    ----------
    device : DeviceServer
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        # Group -> name -> (item that the sensor was made of, sensor).
        self._groups: dict[str, dict[str, tuple[Item, Sensor]]] = {}

    def show(self, group: str, items: Iterable[Item], timestamp: float) -> None:
        """Make the sensors of a group those of `items`, read at `timestamp` [s since 1970]."""
        known = self._groups.get(group, {})
        present: dict[str, tuple[Item, Sensor]] = {}
        for item in items:
            before = known.get(item.name)
            if before is not None and _same_sensor(before[0], item):
                sensor = before[1]
                _set(sensor, item, timestamp)
            else:
                sensor = item.sensor()
                _set(sensor, item, timestamp)
                self._device.add_sensor(sensor)
            present[item.name] = (item, sensor)
        for name in known.keys() - present.keys():
            self._device.remove_sensor(name)
        self._groups[group] = present

    def failed(self, group: str, timestamp: float) -> None:
        """Mark the readings of a group as failed: they could not be taken."""
        for _, sensor in self._groups.get(group, {}).values():
            sensor.set(timestamp, Sensor.FAILURE, sensor.value())

    def by_status(self) -> dict[int, list[str]]:
        """Return the names of the sensors that have each status."""
        names: dict[int, list[str]] = {}
        for group in self._groups.values():
            for name, (_, sensor) in group.items():
                names.setdefault(sensor.status(), []).append(name)
        return names


def _same_sensor(one: Item, other: Item) -> bool:
    return (one.make, one.description, one.units, one.limits) == (
        other.make,
        other.description,
        other.units,
        other.limits,
    )


def _set(sensor: Sensor, item: Item, timestamp: float) -> None:
    status = item.judged()
    if item.value is None or status not in VALID_STATUSES:
        sensor.set(timestamp, status, sensor.value() if item.value is None else item.value)
    else:
        sensor.set_value(item.value, status, timestamp)
