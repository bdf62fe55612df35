"""Sensors and readings as a device describes them, taken as they come.

A client has to cope with whatever a device sends: too few arguments, types that nobody knows,
values that are none. Nothing here raises for the contents of a message.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from katcp.apps.cli._escape import decode
from katcp.kattypes import Bool, Int, decode_float

#: Statuses with which a value counts (KATCP guidelines, "sensor status").
VALID = frozenset(["nominal", "warn", "error"])

#: First major version of the protocol in which times are seconds, not milliseconds.
SECONDS_SINCE = 5


@dataclass(frozen=True)
class SensorInfo:
    """A sensor, as an inform of ``?sensor-list`` describes it.

    Attributes
    ----------
    name, description, units, type : str
    params : tuple of bytes
        Limits of a number, words of a discrete sensor.
    """

    name: str
    description: str = ""
    units: str = ""
    type: str = "string"
    params: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, arguments: Sequence[bytes]) -> SensorInfo:
        """Return what the arguments of a ``#sensor-list`` say, as far as they go."""
        texts = [decode(argument) for argument in arguments[:4]]
        name, description, units, kind = (*texts, *[""] * (4 - len(texts)))
        return cls(name, description, units, kind or "string", tuple(arguments[4:]))

    @property
    def words(self) -> list[str]:
        """Words of a discrete sensor; none for others."""
        return [decode(word) for word in self.params] if self.type == "discrete" else []


@dataclass(frozen=True)
class Reading:
    """A reading of a sensor, as it came.

    Attributes
    ----------
    name, status : str
    timestamp : float or None
        When it was taken [seconds since 1970, UTC]; None if the device sent no number.
    raw : bytes
        The value.
    """

    name: str
    timestamp: float | None
    status: str
    raw: bytes

    @property
    def valid(self) -> bool:
        """Whether the value counts."""
        return self.status in VALID


def parse_readings(arguments: Sequence[bytes], major: int) -> list[Reading]:
    """Return the readings of a ``#sensor-value`` or ``#sensor-status``.

    The number of sensors that it begins with is not believed: what is there is used.
    """
    if not arguments:
        return []
    timestamp = parse_time(arguments[0], major)
    rest = arguments[2:]
    return [
        Reading(decode(name), timestamp, decode(status), value)
        for name, status, value in zip(rest[0::3], rest[1::3], rest[2::3], strict=False)
    ]


def parse_time(raw: bytes, major: int) -> float | None:
    """Return a time [s], or None if it is none."""
    try:
        number = decode_float(raw)
    except ValueError:
        return None
    return number if major >= SECONDS_SINCE else number / 1000


_READ: dict[str, Callable[[bytes], Any]] = {
    "integer": Int().unpack,
    "float": decode_float,
    "boolean": Bool().unpack,
}


def value_of(raw: bytes, kind: str, major: int) -> Any:
    """Return a value as Python has it: a number, a bool, or text.

    What is no value of its type, or of a type unknown here, stays text.
    """
    if kind == "timestamp":
        moment = parse_time(raw, major)
        return decode(raw) if moment is None else moment
    read = _READ.get(kind)
    if read is not None:
        with contextlib.suppress(ValueError):
            return read(raw)
    return decode(raw)


def reading_record(reading: Reading, info: SensorInfo, major: int) -> dict[str, Any]:
    """Return what ``--json`` prints of a reading.

    Keys: ``name``, ``value``, ``units``, ``type``, ``status``, ``timestamp`` [s].
    """
    return {
        "name": reading.name,
        "value": value_of(reading.raw, info.type, major),
        "units": info.units,
        "type": info.type,
        "status": reading.status,
        "timestamp": reading.timestamp,
    }


def sensor_record(info: SensorInfo, major: int) -> dict[str, Any]:
    """Return what ``--json`` prints of a sensor.

    Keys: ``name``, ``type``, ``units``, ``description``, ``params``.
    """
    return {
        "name": info.name,
        "type": info.type,
        "units": info.units,
        "description": info.description,
        "params": [value_of(param, info.type, major) for param in info.params],
    }
