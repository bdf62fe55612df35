"""What the families of requests need of the device that they are part of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katcp.server._base import DeviceServerBase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from katcp.sampling import SamplingTable
    from katcp.sensors import Sensor
    from katcp.server._connection import ClientConnection
    from katcp.server._log import DeviceLogger


class DeviceProtocol(DeviceServerBase):
    """The attributes of `DeviceServer` that its requests use."""

    log: DeviceLogger
    _sensors: dict[str, Sensor]
    _sampling: SamplingTable | None
    _help_tails: dict[str, tuple[Any, bytes]]
    _restart_queue: Any
    period_floor: float
    max_subscriptions: int | None

    @property
    def _client_conns(self) -> AbstractSet[ClientConnection]:
        """The clients that are connected."""
        raise NotImplementedError

    @staticmethod
    def _subscriber(connection: Any) -> Any:
        """Return what takes the reports for a connection."""
        raise NotImplementedError

    def clear_strategies(self, client_conn: Any, remove_client: bool = False) -> None:
        """End all sampling strategies of a client."""
        raise NotImplementedError

    def katcp_versions(self) -> Iterable[tuple[str, ...]]:
        """Return name, version and, maybe, build of all that has a version."""
        raise NotImplementedError

    def sorted_sensors(self) -> list[Sensor]:
        """Return the sensors by name."""
        raise NotImplementedError
