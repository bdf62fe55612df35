"""Readings of the sensors of a resource, and what lists of sensors are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from katcp.sensors import STATUSES


class _ReadingTuple(NamedTuple):
    received_timestamp: float
    timestamp: float
    istatus: int
    value: Any


class KATCPSensorReading(_ReadingTuple):
    """A reading of a sensor, and when it came in.

    Attributes
    ----------
    received_timestamp : float
        When it came in [seconds since 1970, UTC].
    timestamp : float
        When it was taken, as the device says [seconds since 1970, UTC].
    istatus : int
        Status constant of `Sensor`.
    value : object
        Of the sensor's type; only meaningful if the status is nominal, warn or error.
    """

    __slots__ = ()

    @property
    def status(self) -> str:
        """Name of the status."""
        return STATUSES[self.istatus]


class SensorResultTuple(NamedTuple):
    """A sensor as `KATCPResource.list_sensors` gives it.

    Attributes
    ----------
    object : KATCPSensor
    name : str
        As the device has it; in a container with the name of the child in front.
    python_identifier : str
        The key by which the resource has it.
    description, type, units : str
    reading : KATCPSensorReading
    """

    object: Any
    name: str
    python_identifier: str
    description: str
    type: str
    units: str
    reading: KATCPSensorReading
