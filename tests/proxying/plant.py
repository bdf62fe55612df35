"""Devices to be shown, and proxies that are quick to try again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from katcp.errors import FailReply
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import concurrent_reply, request_timeout_hint
from katcp.protocol import Message
from katcp.proxying import DeviceLink, ProxiedDevice, ProxyServer
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer
from tests.helpers.serving import serving


class Dish(AsyncDeviceServer):
    """A device."""

    VERSION_INFO = ("dish-api", 2, 1)
    BUILD_INFO = ("dish-build", 3, 4, "rc1")

    def setup_sensors(self) -> None:
        self.sensors.update(
            [
                Sensor.float("azimuth", "Azimuth", "deg", [-180.0, 540.0]),
                Sensor.discrete("mode", "Mode", params=["stow", "track"]),
                Sensor.string("note", "A note"),
                Sensor.integer("debug.count", "A count"),
            ]
        )
        self.forever = asyncio.Event()

    async def request_slew(self, req: Any, azimuth: float) -> float:
        """Slew to AZIMUTH."""
        self.sensors["azimuth"].set_value(azimuth)
        return azimuth

    def request_refuse(self, req: Any) -> Any:
        """Refuse."""
        raise FailReply("not today")

    @concurrent_reply
    @request_timeout_hint(30)
    async def request_wait(self, req: Any) -> None:
        """Wait for ever."""
        req.inform("waiting")
        await self.forever.wait()
        req.inform("done")

    def request_echo(self, req: Any, msg: Message) -> Message:
        """Echo bytes."""
        reply: Message = req.make_reply("ok", *msg.arguments)
        return reply


class QuickLink(DeviceLink):
    """One that does not wait long before it tries again."""

    def make_client(self) -> InspectingClientAsync:
        client = super().make_client()
        client.katcp_client.auto_reconnect_delay = 0.005
        client.initial_resync_timeout = 0.005
        client.max_resync_timeout = 0.02
        return client


class Proxy(ProxyServer):
    """A proxy that is quick to try again, and does not announce its clients."""

    announces_clients = False
    link_class = QuickLink


def of(device: Any, name: str = "dish", **options: Any) -> ProxiedDevice:
    """Return what a proxy is told of a device that runs."""
    port = device.port if hasattr(device, "port") else device.bind_address[1]
    return ProxiedDevice("127.0.0.1", port, name, **options)


@contextlib.asynccontextmanager
async def proxying(*devices: ProxiedDevice, synced: bool = True) -> AsyncIterator[Proxy]:
    """Run a proxy of devices; wait until it is in step with them."""
    proxy = Proxy("127.0.0.1", 0, devices)
    async with serving(proxy):
        if synced:
            await proxy.until_synced(20)
        yield proxy
