"""The sensors of a server as a set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from katcp.sensors import Sensor, SensorSet


class _Owner(Protocol):
    _sensors: dict[str, Sensor]

    def add_sensor(self, sensor: Sensor, /) -> object: ...

    def remove_sensor(self, sensor: Sensor | str, /) -> object: ...

    def holding_announcements(self) -> AbstractContextManager[None]: ...


class DeviceSensors(SensorSet):
    """The sensors of a device: what is added here is added to the device, and the reverse.

    Parameters
    ----------
    device : DeviceServer
        Its dict of sensors, which programs look at, stays what it is.
    """

    def __init__(self, device: _Owner) -> None:
        super().__init__()
        self._device = device

    @property
    def _by_name(self) -> dict[str, Any]:
        return self._device._sensors  # noqa: SLF001  # of the same package

    @_by_name.setter
    def _by_name(self, sensors: dict[str, Any]) -> None:
        """Leave the device's own."""

    def add(self, sensor: Sensor) -> None:
        """Add a sensor to the device; see `DeviceServer.add_sensor`.

        Raises
        ------
        ValueError
            If its name cannot be used in requests.
        """
        self._device.add_sensor(sensor)

    def _remove(self, name: str) -> Any:
        sensor = self._by_name[name]
        self._device.remove_sensor(sensor)
        return sensor

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Group changes; those of a batch that goes over several turns are announced together."""
        with self._device.holding_announcements(), super().batch():
            yield

    def changed(self, removed: Sensor | None, added: Sensor | None) -> None:
        """Tell those who want to know (called by the device)."""
        self._tell(removed, added)
