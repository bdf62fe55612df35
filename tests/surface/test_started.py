"""Attributes that instances have once they are started, or have been given a loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from katcp.core import Sensor
from katcp.resource_client import KATCPClientResource, KATCPClientResourceContainer
from katcp.sampling import SamplePeriod
from tests.helpers.serving import Bare, BareThreaded, serving
from tests.surface import surface


def missing(path: str, instance: Any) -> list[str]:
    """Return what `instance` lacks of the attributes that its class gives it later."""
    names = surface.instance_attributes(path, later=True)
    assert names
    return [name for name in names if not hasattr(instance, name)]


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_server(kind: Any) -> None:
    async with serving(kind("127.0.0.1", 0)) as server:
        assert missing("katcp.server.DeviceServer", server) == []
        assert isinstance(server.ioloop, IOLoop)


async def test_resource(io_loop: IOLoop) -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        resource = KATCPClientResource({"name": "r", "address": server.bind_address})
        resource.set_ioloop(io_loop)
        resource.start()
        assert missing("katcp.resource_client.KATCPClientResource", resource) == []
        assert resource.ioloop is io_loop
        await resource.until_synced(timeout=5)
        assert resource._inspecting_client.katcp_client.is_connected()
        resource.stop()
        await resource.until_stopped(timeout=5)


async def test_container(io_loop: IOLoop) -> None:
    container = KATCPClientResourceContainer(
        {"name": "c", "description": "", "clients": {"r": {"address": ("127.0.0.1", 1)}}}
    )
    container.set_ioloop(io_loop)
    assert dict(container.sensor) == {}
    assert missing("katcp.resource_client.KATCPClientResourceContainer", container) == []
    assert container.ioloop is io_loop


async def test_period(io_loop: IOLoop) -> None:
    strategy = SamplePeriod(lambda *_: None, Sensor.integer("s"), b"10", ioloop=io_loop)
    strategy.start()
    await asyncio.sleep(0.01)
    assert missing("katcp.sampling.SamplePeriod", strategy) == []
    strategy.cancel()
    await asyncio.sleep(0.01)
