from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado import gen

from katcp.resource import KATCPSensorError
from katcp.sensors import Sensor
from tests.helpers.resources import PATIENCE, resource_of
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump


async def test_waiting_for_what_the_device_does() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        speed = pump.get_sensor("pump.speed")
        await resource.set_sampling_strategy("pump.speed", "event")
        reached = resource.wait("pump.speed", 17)
        warned = resource.wait("pump_speed", lambda reading: reading.status == "warn", PATIENCE)
        speed.set_value(16)
        speed.set_value(17)
        assert await reached is True
        assert not warned.done()
        speed.set_value(18, Sensor.WARN)
        assert await warned is True
        assert await resource.wait("pump.speed", 18) is True
        assert await resource.wait("pump.speed", 99, timeout=0.01) is False
        assert await resource.wait("pump.speed", 99, timeout=0) is False
        await asyncio.sleep(0)
        assert resource.sensor.pump_speed.listeners() == []


async def test_a_sensor_waits_or_times_out() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        sensor = resource.sensor.pump_speed
        await sensor.set_strategy("event")
        assert await sensor.wait(0) is True
        with pytest.raises(gen.TimeoutError):
            await sensor.wait(5, timeout=0.01)


async def test_without_a_strategy() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        with pytest.raises(KATCPSensorError):
            await resource.wait("pump.speed", 17)
        await resource.set_sampling_strategy("pump.speed", "event")
        await resource.set_sampling_strategy("pump.speed", "none")
        with pytest.raises(KATCPSensorError):
            await resource.wait("pump.speed", 17)


async def test_w80_an_unknown_sensor() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        for expected in (KATCPSensorError, KeyError):
            with pytest.raises(expected, match=r"nope\.x"):
                await resource.wait("nope.x", 1)


async def test_a_wait_goes_on_over_a_loss_of_the_connection() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        await resource.set_sampling_strategy("pump.speed", "event")
        reached: Any = resource.wait("pump.speed", 17, timeout=PATIENCE)
        await asyncio.sleep(0)
        resource._inspecting_client.katcp_client.disconnect()
        await resource.until_not_synced(timeout=PATIENCE)
        await resource.until_synced(timeout=PATIENCE)
        assert not reached.done()
        pump.get_sensor("pump.speed").set_value(17)
        assert await reached is True


async def test_a_wait_goes_on_when_the_sensor_is_replaced() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        await resource.set_sampling_strategy("pump.speed", "event")
        reached: Any = resource.wait("pump.speed", 17, timeout=PATIENCE)
        await asyncio.sleep(0)
        old = resource.sensor.pump_speed
        pump.add_sensor(Sensor.integer("pump.speed", unit="rps"))
        pump.changed()
        await resource.req.watchdog()
        await resource.until_synced(timeout=PATIENCE)
        assert resource.sensor.pump_speed is not old
        pump.get_sensor("pump.speed").set_value(17)
        assert await reached is True
