"""The sensors of an endpoint."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from katcp.endpoints._values import EndpointReading, ValueType
from katcp.sensors import Sensor

if TYPE_CHECKING:
    from katcp.endpoints._endpoint import Endpoint


class EndpointSensors:
    """What is seen of one endpoint without asking it.

    ==================  ================================================================
    ``PATH``            the calibrated value if there is a calibration, else the raw one
    ``PATH.raw``        the raw value, if there is a calibration
    ``PATH.locked``     whether somebody has locked it
    ``PATH.logging``    whether it is read by schedule, if it can be
    ``PATH.last-alert`` when it was broadcast last, if it can be
    ==================  ================================================================

    Parameters
    ----------
    endpoint : Endpoint
    logs : bool
        Whether it has a schedule.
    """

    def __init__(self, endpoint: Endpoint, logs: bool) -> None:
        path = endpoint.path
        about = endpoint.description or f"Value of {path}"
        self._type = endpoint.value_type
        self._raw_type = endpoint.raw_value_type
        self.value: Sensor | None = None
        self.raw: Sensor | None = None
        if endpoint.is_readable:
            self.value = self._type.make_sensor(path, about, endpoint.units)
            if endpoint.calibrated is not None or endpoint.calibration_settable:
                self.raw = self._raw_type.make_sensor(
                    f"{path}.raw", f"{about.rstrip('.')}, before calibration", endpoint.raw_units
                )
        self.locked = Sensor.boolean(
            f"{path}.locked", f"Whether {path} is locked", "", False, Sensor.NOMINAL
        )
        self.logging: Sensor | None = None
        self.last_alert: Sensor | None = None
        if logs:
            self.logging = Sensor.boolean(
                f"{path}.logging", f"Whether {path} is read by schedule", "", False, Sensor.NOMINAL
            )
            self.last_alert = Sensor.timestamp(
                f"{path}.last-alert", f"When {path} was broadcast last"
            )

    def all(self) -> list[Sensor]:
        """Return those that there are."""
        some = (self.value, self.raw, self.locked, self.logging, self.last_alert)
        return [sensor for sensor in some if sensor is not None]

    def show(self, reading: EndpointReading) -> bool:
        """Show a reading; tell whether its values are of the types of the sensors."""
        timestamp, status = reading.timestamp, reading.status
        fits = True
        if self.raw is not None:
            raw_status = Sensor.UNKNOWN if reading.raw is None else Sensor.NOMINAL
            fits = _set(self.raw, self._raw_type, reading.raw, timestamp, raw_status)
        if self.value is None:
            return fits
        if status == Sensor.ERROR:  # what was calibrated before stays, and is known to be old
            self.value.set(timestamp, status, self.value.value())
            return fits
        return _set(self.value, self._type, reading.value, timestamp, status) and fits

    def failed(self, reading: EndpointReading) -> None:
        """Show that it could not be read: the values stay, with that status."""
        for sensor in (self.value, self.raw):
            if sensor is not None:
                sensor.set(reading.timestamp, Sensor.FAILURE, sensor.value())


def _set(sensor: Sensor, kind: ValueType, value: Any, timestamp: float, status: int) -> bool:
    if value is None:
        sensor.set(timestamp, status, sensor.value())
        return True
    shown: Any = sensor.value()
    with contextlib.suppress(ValueError):
        shown = kind.shown(value)
        sensor.set(timestamp, status, shown)
        return True
    sensor.set(timestamp, Sensor.ERROR, shown)  # it has a value that is none of its type
    return False
