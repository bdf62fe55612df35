"""The device of the benchmark with endpoints and orders."""

from __future__ import annotations

from typing import Any

from katcp.endpoints import AsyncEndpointServer, KeyValueStore, StoreKey
from katcp.orders import OrderExecutor, OrderHost, Pathpoint, PathpointTarget
from katcp.sensors import Sensor
from katcp.server import ClientRequestConnection

SET_AT = 1700000000.25
"""When the endpoints were set, as they say."""


def rich_device(device: type) -> Any:
    """Return the class of a device that has endpoints, and takes orders."""

    class RichDevice(device, AsyncEndpointServer):  # type: ignore[misc,valid-type]
        """One with endpoints that takes orders, and has usual requests that do as much."""

        def setup_sensors(self) -> None:
            super().setup_sensors()
            self.plain = {"key": (1.79, SET_AT)}
            self.plain_sensor = Sensor.float("plain", "Set by a request.")
            self.add_sensor(self.plain_sensor)
            keys = [StoreKey("key"), StoreKey("calibrated", calibration="times2({})")]
            for key in keys:
                key.restore("1.79", SET_AT)
            self.endpoint_host.add(KeyValueStore("store", endpoints=keys))
            points = [
                Pathpoint(f"point-{i}", Sensor.integer(f"point-{i}"), on_write=lambda *args: None)
                for i in range(100)
            ]
            self.orders = OrderHost(self, OrderExecutor(PathpointTarget(*points)))

        async def request_plain_get(
            self, req: ClientRequestConnection, target: str
        ) -> tuple[float, str, str, str]:
            """Answer as an endpoint does."""
            value, timestamp = self.plain[target]
            return value, "", f"{timestamp:.6f}", "nominal"

        async def request_plain_set(self, req: ClientRequestConnection, value: float) -> float:
            """Set a sensor."""
            self.plain_sensor.set_value(value)
            return value

    return RichDevice
