"""What the families of requests need of the device that they are part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katcp.server._base import DeviceServerBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katcp.sampling import SamplingTable
    from katcp.sensors import Sensor
    from katcp.server._connection import ClientConnection
    from katcp.server._log import DeviceLogger


class DeviceProtocol(DeviceServerBase):
    """The attributes of `DeviceServer` that its requests use."""

    log: DeviceLogger
    _sensors: dict[str, Sensor]
    _sampling: SamplingTable
    _client_conns: set[ClientConnection]
    _help_tails: dict[str, tuple[Any, bytes]]
    _restart_queue: Any
    period_floor: float

    def version_lines(self) -> Iterable[tuple[str, ...]]:
        """Return name, version and, maybe, build of all that has a version."""
        raise NotImplementedError

    def sorted_sensors(self) -> list[Sensor]:
        """Return the sensors by name."""
        raise NotImplementedError
