"""Sensor objects of an inspected device: made when somebody asks, kept up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from katcp.inspecting_client._model import SensorInfo
from katcp.kattypes import Timestamp
from katcp.sensors import STATUS_NAMES_RAW, VALID_STATUSES, Reading, Sensor

_UNKNOWN, _UNREACHABLE = Sensor.UNKNOWN, Sensor.UNREACHABLE
#: Told of each new reading: name, sensor, and what it reads now.
Update = Callable[[str, Any, Reading], object]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def readings_in(arguments: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Yield (name, timestamp, status, value) of a ``#sensor-status`` or ``#sensor-value``.

    The form is ``timestamp count {name status value}``. A wrong count is not held against it;
    an incomplete group at the end is left out.
    """
    timestamp = arguments[0]
    for i in range(2, len(arguments) - 2, 3):
        yield arguments[i], timestamp, arguments[i + 1], arguments[i + 2]


class SensorBook:
    """The sensor objects of one device, by name.

    Parameters
    ----------
    logger : logging.Logger
    updated : callable
        Called with name, sensor and reading after each reading.
    """

    def __init__(self, logger: logging.Logger, updated: Update) -> None:
        self._logger = logger
        self._updated = updated
        self._objects: dict[str, Any] = {}
        self._unreachable: dict[str, Reading] = {}
        self._timestamps: dict[int, Callable[[bytes], float]] = {}

    def get(self, name: str) -> Any:
        """Return the object of a sensor, or None if it has not been made."""
        return self._objects.get(name)

    def make(self, name: str, info: SensorInfo, factory: Callable[..., Any], major: int) -> Any:
        """Return the object of a sensor, made by ``factory(name=..., ...)`` if need be.

        A sensor of a type that is not known, or with parameters that its type cannot have, is
        taken for a string: its value is then the text that the device sends.
        """
        sensor = self._objects.get(name)
        if sensor is None:
            sensor = factory(**self._description(name, info, major))
            self._objects[name] = sensor
        return sensor

    def _description(self, name: str, info: SensorInfo, major: int) -> dict[str, Any]:
        _, description, units, type_name, *raw_params = info
        try:
            kind = Sensor.parse_type(type_name)
        except ValueError:
            self._logger.warning(
                "Sensor %r has the unknown type %r; it is kept as a string", name, type_name
            )
            kind = Sensor.STRING
        params: list[Any] = []
        try:
            if kind in (Sensor.INTEGER, Sensor.FLOAT, Sensor.DISCRETE):
                params = Sensor.parse_params(kind, raw_params, major)
        except ValueError as error:
            self._logger.warning("Sensor %r: parameters left out: %s", name, error)
        if kind == Sensor.DISCRETE and not params:
            self._logger.warning("Sensor %r is discrete without values; kept as a string", name)
            kind = Sensor.STRING
        return {
            "name": name,
            "sensor_type": kind,
            "description": _text(description),
            # The protocol fixes those of timestamps, though some devices send others.
            "units": "" if kind == Sensor.TIMESTAMP else _text(units),
            "params": params,
        }

    def drop(self, names: Iterable[str]) -> None:
        """Forget the objects of sensors that were removed or changed."""
        for name in names:
            self._objects.pop(name, None)
            self._unreachable.pop(name, None)

    # -- readings -----------------------------------------------------------------------

    def set_reading(
        self, sensor: Any, timestamp: bytes, status: bytes, value: bytes, major: int
    ) -> None:
        """Give a sensor a reading as it came.

        The status is read first: of a value that does not count, nothing is demanded (it is None
        if it cannot be read); one that counts and cannot be read is kept as it came, and logged.
        """
        try:
            if type(sensor).set_formatted is not Sensor.set_formatted:
                sensor.set_formatted(timestamp, status, value, major)
                self._updated(sensor.name, sensor, _reading_of(sensor))
                return
            decode = self._timestamps.get(major)
            if decode is None:
                decode = self._timestamps[major] = Timestamp().decoder(major)
            number = STATUS_NAMES_RAW.get(status, _UNKNOWN)
            try:
                parsed = sensor.parse_value(value, major)
            except ValueError as error:
                parsed = value if number in VALID_STATUSES else None
                if parsed is not None:
                    self._logger.warning("Sensor %r has a bad value: %s", sensor.name, error)
            sensor.set(decode(timestamp), number, parsed)
        except Exception as error:
            self._logger.error(
                "Cannot set sensor %r to (%r, %r, %r): %s",
                getattr(sensor, "name", sensor),
                timestamp,
                status,
                value,
                error,
            )
            return
        self._updated(sensor.name, sensor, sensor.read())

    def mark_unreachable(self) -> None:
        """Mark all readings ``unreachable``, as of now: the device is gone.

        Values stay what they were; so does the time of the first of several losses.
        """
        now = time.time()
        for name, sensor in list(self._objects.items()):
            self._mark(name, sensor, now, _UNREACHABLE)

    def mark_reachable(self, in_doubt: Callable[[str], bool]) -> None:
        """Mark readings ``unknown`` that nobody has renewed since the device came back.

        Parameters
        ----------
        in_doubt : callable
            Tells of a name whether no new reading of it is to be expected.
        """
        for name, marked in list(self._unreachable.items()):
            sensor = self._objects.get(name)
            if sensor is not None and _reading_of(sensor) == marked and in_doubt(name):
                self._mark(name, sensor, marked.timestamp, _UNKNOWN)
        self._unreachable.clear()

    def _mark(self, name: str, sensor: Any, timestamp: float, status: int) -> None:
        try:
            before = _reading_of(sensor)
            if before.status == status:
                return
            sensor.set(timestamp, status, before.value)
            reading = _reading_of(sensor)
        except Exception:
            self._logger.exception("Cannot mark sensor %r", name)
            return
        if status == _UNREACHABLE:
            self._unreachable[name] = reading
        self._updated(name, sensor, reading)


def _reading_of(sensor: Any) -> Any:
    """Return the reading of a sensor, whatever made it."""
    read = getattr(sensor, "read", None)
    return read() if callable(read) else sensor.reading
