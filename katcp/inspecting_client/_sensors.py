"""Sensor objects of an inspected device: made when somebody asks, kept up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from katcp.inspecting_client._model import SensorInfo
from katcp.kattypes import Timestamp
from katcp.sensors import STATUS_NAMES_RAW, VALID_STATUSES, Sensor

_UNKNOWN, _UNREACHABLE = Sensor.UNKNOWN, Sensor.UNREACHABLE
#: Told of each new reading: name and sensor.
Update = Callable[[str, Any], object]


#: Name, timestamp, status and value, as they came.
ReadingArguments = tuple[bytes, bytes, bytes, bytes]

_TYPES: dict[bytes, int] = {
    name.encode(): number for name, number in Sensor.SENSOR_TYPE_LOOKUP.items()
}
#: Types whose parameters say something about the value.
_WITH_PARAMS = (Sensor.INTEGER, Sensor.FLOAT, Sensor.DISCRETE)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def readings_in(arguments: Sequence[bytes]) -> Iterator[ReadingArguments]:
    """Yield (name, timestamp, status, value) of a ``#sensor-status`` or ``#sensor-value``.

    The form is ``timestamp count {name status value}``. A wrong count is not held against it;
    an incomplete group at the end is left out.
    """
    for i in range(2, len(arguments) - 2, 3):
        timestamp = arguments[0]
        yield arguments[i], timestamp, arguments[i + 1], arguments[i + 2]


class SensorBook:
    """The sensor objects of one device, by name.

    Parameters
    ----------
    logger : logging.Logger
    updated : callable
        Called with name and sensor after each new reading.

    Attributes
    ----------
    major : int
        Major version of the protocol whose rules apply: 4 or 5.
    """

    def __init__(self, logger: logging.Logger, updated: Update) -> None:
        self._logger = logger
        self._updated = updated
        #: By name; those that have been made.
        self.objects: dict[str, Any] = {}
        # Readings that say so, until the device is back.
        self._unreachable: dict[str, Any] = {}
        self._read_time = {major: Timestamp().decoder(major) for major in (4, 5)}
        self.major = 5

    def get(self, name: str) -> Any:
        """Return the object of a sensor, or None if it has not been made."""
        return self.objects.get(name)

    def make(self, name: str, info: SensorInfo, factory: Callable[..., Any]) -> Any:
        """Make the object of a sensor by ``factory(name=..., ...)``, and keep it.

        A sensor of a type that is not known, or with parameters that its type cannot have, is
        taken for a string: its value is then the text that the device sends.
        """
        _, raw_description, raw_units, type_name, *raw_params = info
        kind = _TYPES.get(type_name)
        if kind is None:
            self._logger.warning(
                "Sensor %r has the unknown type %r; it is kept as a string", name, type_name
            )
            kind = Sensor.STRING
        params: list[Any] = []
        if kind in _WITH_PARAMS:
            if raw_params:
                try:
                    params = Sensor.parse_params(kind, raw_params, self.major)
                except ValueError as error:
                    self._logger.warning("Sensor %r: parameters left out: %s", name, error)
            if kind == Sensor.DISCRETE and not params:
                self._logger.warning(
                    "Sensor %r is discrete without values; it is kept as a string", name
                )
                kind = Sensor.STRING
        sensor = self.objects[name] = factory(
            name=name,
            sensor_type=kind,
            description=_text(raw_description),
            # The protocol fixes those of timestamps, though some devices send others.
            units="" if kind == Sensor.TIMESTAMP else _text(raw_units),
            params=params,
        )
        return sensor

    def drop(self, names: Iterable[str]) -> None:
        """Forget the objects of sensors that were removed or changed."""
        for name in names:
            self.objects.pop(name, None)
            self._unreachable.pop(name, None)

    # -- readings -----------------------------------------------------------------------

    def set_reading(
        self, name: str, sensor: Any, timestamp: bytes, status: bytes, value: bytes
    ) -> None:
        """Give a sensor a reading as it came.

        The status is read first: of a value that does not count, nothing is demanded (it is None
        if it cannot be read); one that counts and cannot be read is kept as it came, and logged.
        """
        try:
            if type(sensor).set_formatted is not Sensor.set_formatted:
                sensor.set_formatted(timestamp, status, value, self.major)
            else:
                number = STATUS_NAMES_RAW.get(status, _UNKNOWN)
                try:
                    parsed = sensor.parse_value(value, self.major)
                except ValueError as error:
                    parsed = value if number in VALID_STATUSES else None
                    if parsed is not None:
                        self._logger.warning("Sensor %r has a bad value: %s", name, error)
                sensor.set(self._read_time[self.major](timestamp), number, parsed)
        except Exception as error:
            self._logger.error(
                "Cannot set sensor %r to (%r, %r, %r): %s", name, timestamp, status, value, error
            )
            return
        self._updated(name, sensor)

    def mark_unreachable(self) -> None:
        """Mark all readings ``unreachable``, as of now: the device is gone.

        Values stay what they were; so does the time of the first of several losses.
        """
        now = time.time()
        for name, sensor in list(self.objects.items()):
            self._mark(name, sensor, now, _UNREACHABLE)

    def mark_reachable(self, in_doubt: Callable[[str], bool]) -> None:
        """Mark readings ``unknown`` that nobody has renewed since the device came back.

        Parameters
        ----------
        in_doubt : callable
            Tells of a name whether no new reading of it is to be expected.
        """
        for name, marked in list(self._unreachable.items()):
            sensor = self.objects.get(name)
            if sensor is not None and reading_of(sensor) is marked and in_doubt(name):
                self._mark(name, sensor, marked.timestamp, _UNKNOWN)
        self._unreachable.clear()

    def _mark(self, name: str, sensor: Any, timestamp: float, status: int) -> None:
        try:
            before = reading_of(sensor)
            if before.status == status:
                return
            sensor.set(timestamp, status, before.value)
            if status == _UNREACHABLE:
                self._unreachable[name] = reading_of(sensor)
        except Exception:
            self._logger.exception("Cannot mark sensor %r", name)
            return
        self._updated(name, sensor)


def reading_of(sensor: Any) -> Any:
    """Return the reading of a sensor, whatever made it."""
    if isinstance(sensor, Sensor):
        return sensor.reading
    read = getattr(sensor, "read", None)
    return read() if callable(read) else sensor.reading
