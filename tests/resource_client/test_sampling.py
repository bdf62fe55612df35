"""Sampling strategies: set, refused, remembered, set again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from katcp.sensors import Sensor
from tests.helpers.resources import PATIENCE, Told, make, resource_of, running
from tests.helpers.scripted import V50_NO_IDS, V51, Device, until
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump, PumpBulk


@asynccontextmanager
async def pumping(kind: type[Pump] = Pump) -> AsyncIterator[tuple[Pump, Told]]:
    async with serving(kind()) as pump, resource_of(pump) as resource:
        pump.heard.clear()
        yield pump, resource


async def cut(resource: Told) -> None:
    """Lose the connection, and be synced again."""
    resource._inspecting_client.katcp_client.disconnect()
    await resource.until_not_synced(timeout=PATIENCE)
    await resource.until_synced(timeout=PATIENCE)


@pytest.mark.parametrize("strategy", ["event-rate 0.5 10", ("event-rate", 0.5, 10)])
async def test_setting_by_name(strategy: Any) -> None:
    async with pumping() as (pump, resource):
        for name in ("pump.speed", "pump_speed"):
            result = await resource.set_sampling_strategy(name, strategy)
            assert result == {"pump_speed": strategy}
        assert pump.sampled == ["sensor-sampling pump.speed event-rate 0.5 10"] * 2
        assert resource.sensor.pump_speed.sampling_strategy == ("event-rate", "0.5", "10")
        assert resource.sensor.pump_speed.status == "unknown"
        assert resource.sensor.pump_speed.value == 0


async def test_setting_several() -> None:
    async with pumping() as (pump, resource):
        result = await resource.set_sampling_strategies("^pump_", "event")
        assert result == {"pump_flow_rate": "event", "pump_speed": "event"}
        assert pump.sampled == [
            "sensor-sampling pump.flow-rate event",
            "sensor-sampling pump.speed event",
        ]
        assert await resource.set_sampling_strategies("nope", "event") == {}


async def test_several_are_set_by_one_request_where_the_device_can_do_that() -> None:
    async with pumping(PumpBulk) as (pump, resource):
        await resource.set_sampling_strategies("pump", "event")
        await resource.set_sampling_strategy("last-start", "period 5")
        assert pump.sampled == [
            "sensor-sampling pump.flow-rate,pump.speed event",
            "sensor-sampling last-start period 5",
        ]
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == [
            "sensor-sampling pump.flow-rate,pump.speed event",
            "sensor-sampling last-start period 5",
        ]


async def test_many_are_set_by_several_requests() -> None:
    device = Device(V51, {f"s{i}": "S. \\@ integer" for i in range(2500)})
    async with device, resource_of(device) as resource:
        device.forget()
        result = await resource.set_sampling_strategies("", "event")
        assert len(result) == 2500
        assert set(result.values()) == {"event"}
        assert [line.count(b",") + 1 for line in device.heard] == [1000, 1000, 500]


async def test_where_one_of_several_is_refused_the_others_are_set() -> None:
    async with pumping(PumpBulk) as (pump, resource):
        pump.remove_sensor("pump.speed")
        result = await resource.set_sampling_strategies("pump", "event")
        assert result["pump_flow_rate"] == "event"
        assert "pump.speed" in result["pump_speed"]
        assert pump.sampled == [
            "sensor-sampling pump.flow-rate,pump.speed event",
            "sensor-sampling pump.flow-rate event",
            "sensor-sampling pump.speed event",
        ]


@pytest.mark.parametrize("greeting", [V51[:1], V50_NO_IDS])
async def test_more_than_go_out_at_a_time(greeting: Any) -> None:
    """With ids and without, each reply finds its request."""
    sensors = {f"s{i}": "S. \\@ integer" for i in range(250)}
    async with Device([greeting[0].replace(b"BIMT", b"IMT")], sensors) as device:
        device.answers["sensor-sampling"] = lambda session, message: [
            b"! fail odd" if int(message.arguments[0][1:]) % 2 else b"! ok"
        ]
        async with resource_of(device) as resource:
            result = await resource.set_sampling_strategies("", "event")
            assert len(result) == 250
            for key, outcome in result.items():
                assert (outcome == "event") is (int(key[1:]) % 2 == 0)


async def test_by_the_sensor_itself() -> None:
    async with pumping() as (pump, resource):
        sensor = resource.sensor.pump_speed
        assert await sensor.set_strategy("period", 0.5) == (True, ("period", "0.5"))
        success, text = await sensor.set_strategy("odd")
        assert success is False
        assert "odd" in text
        assert await sensor.set_strategy("event") == (True, ("event",))
        sensor.drop_sampling_strategy()
        assert sensor.sampling_strategy == ("none",)
        assert len(pump.sampled) == 3
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == []


async def test_strategies_are_set_again_before_the_state_is_synced() -> None:
    async with pumping() as (pump, resource):
        await resource.sensor.pump_speed.set_strategy("event")
        await resource.set_sampling_strategy("pump.flow-rate", "event-rate 1 10")
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == [
            "sensor-sampling pump.speed event",
            "sensor-sampling pump.flow-rate event-rate 1 10",
        ]
        assert resource.sensor.pump_flow_rate.sampling_strategy == ("event-rate", "1", "10")


async def test_they_are_set_again_after_any_change() -> None:
    async with pumping() as (pump, resource):
        await resource.set_sampling_strategy("pump.speed", "event")
        pump.heard.clear()
        pump.changed()
        await resource.req.watchdog()
        await resource.until_synced(timeout=PATIENCE)
        assert pump.sampled == ["sensor-sampling pump.speed event"]


async def test_none_is_not_set_again() -> None:
    async with pumping() as (pump, resource):
        await resource.set_sampling_strategy("pump.speed", "event")
        await resource.set_sampling_strategy("pump.speed", "none")
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == []
        assert resource.sensor.pump_speed.sampling_strategy == ("none",)


async def test_dropping_changes_nothing_on_the_device() -> None:
    async with pumping() as (pump, resource):
        await resource.set_sampling_strategies("pump", "event")
        resource.drop_sampling_strategy("pump.speed")
        resource.drop_sampling_strategy("pump_flow_rate")
        resource.drop_sampling_strategy("unheard-of")
        pump.get_sensor("pump.speed").set_value(5)
        await resource.req.watchdog()
        assert resource.sensor.pump_speed.value == 5
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == []


async def test_the_strategy_of_a_sensor_that_goes_and_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pumping() as (pump, resource):
        await resource.sensor.pump_speed.set_strategy("event")
        pump.remove_sensor("pump.speed")
        with caplog.at_level(logging.WARNING, "katcp.resource_client"):
            for _ in range(2):
                pump.changed()
                await resource.req.watchdog()
                await resource.until_synced(timeout=PATIENCE)
        assert caplog.text.count("sensor 'pump.speed' is not there to be sampled") == 1
        pump.heard.clear()
        pump.add_sensor(Sensor.integer("pump.speed"))
        pump.changed()
        await until(lambda: "pump_speed" in resource.sensor)
        await resource.until_synced(timeout=PATIENCE)
        assert pump.sampled == ["sensor-sampling pump.speed event"]


async def test_the_last_word_counts_for_a_sensor_that_comes_back() -> None:
    async with pumping() as (pump, resource):
        await resource.set_sampling_strategy("pump.speed", "event")
        await resource.sensor.pump_speed.set_strategy("period", 5)
        pump.remove_sensor("pump.speed")
        pump.changed()
        await until(lambda: "pump_speed" not in resource.sensor)
        pump.add_sensor(Sensor.integer("pump.speed"))
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == ["sensor-sampling pump.speed period 5"]
        pump.remove_sensor("pump.speed")
        pump.changed()
        await until(lambda: "pump_speed" not in resource.sensor)
        assert await resource.set_sampling_strategy("pump.speed", "auto") == {}
        pump.add_sensor(Sensor.integer("pump.speed"))
        pump.heard.clear()
        await cut(resource)
        assert pump.sampled == ["sensor-sampling pump.speed auto"]


async def test_what_can_be_no_strategy_is_not_remembered() -> None:
    async with pumping() as (pump, resource):
        for name in ("pump_speed", "not_there"):
            with pytest.raises(TypeError):
                await resource.set_sampling_strategy(name, None)
        with pytest.raises(TypeError):
            await resource.set_sampling_strategies("", None)
        with pytest.raises(TypeError):
            await resource.sensor.pump_speed.set_sampling_strategy(None)
        assert resource._sensor_strategy_cache == {}
        assert pump.sampled == []


async def test_w71_a_whole_difference_is_sent_whole() -> None:
    async with pumping() as (pump, resource):
        for strategy in ("differential 3", ("differential", 3)):
            result = await resource.set_sampling_strategy("pump.speed", strategy)
            assert result == {"pump_speed": strategy}
        assert pump.sampled == ["sensor-sampling pump.speed differential 3"] * 2
        assert resource.sensor.pump_speed.sampling_strategy == ("differential", "3")


async def test_w75_a_refused_strategy_is_not_reported_as_set() -> None:
    async with pumping() as (_, resource):
        result = await resource.set_sampling_strategy("pump.speed", "period nonsense")
        assert list(result) == ["pump_speed"]
        assert result["pump_speed"] != "period nonsense"
        assert "!sensor-sampling" in result["pump_speed"]
        result = await resource.set_sampling_strategies("pump", "odd")
        assert sorted(result) == ["pump_flow_rate", "pump_speed"]
        assert all("!sensor-sampling" in text for text in result.values())


async def test_w75_nor_is_one_that_could_not_be_sent() -> None:
    async with Device(sensors={"x": "X. \\@ integer"}) as device, resource_of(device) as resource:
        device.refuse()
        device.cut()
        await resource.until_state("disconnected", timeout=PATIENCE)
        result = await resource.set_sampling_strategy("x", "event")
        assert "Not\\_connected" in result["x"]
        device.forget()
        await device.listen()
        await resource.until_synced(timeout=PATIENCE)
        assert device.heard[-1].endswith(b" x event")


async def test_w76_a_strategy_set_in_advance_is_sent_once() -> None:
    async with serving(Pump()) as pump:
        resource = make(*pump.bind_address)
        assert await resource.set_sampling_strategy("pump.speed", "event") == {}
        assert await resource.set_sampling_strategy("not-there", "event") == {}
        async with running(resource):
            assert pump.sampled == ["sensor-sampling pump.speed event"]
            assert resource.sensor.pump_speed.sampling_strategy == ("event",)
            assert resource.sensor.pump_speed.reading.received_timestamp > 0


async def test_w78_a_refused_strategy_is_tried_again_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Device(sensors={"x": "X. \\@ integer"}) as device:
        device.answers["sensor-sampling"] = lambda session, message: [b"! fail Not\\_today"]
        async with resource_of(device) as resource:
            with caplog.at_level(logging.WARNING, "katcp.resource_client"):
                await resource.set_sampling_strategy("x", "event")
                await cut(resource)
                await cut(resource)
                assert resource.synced
                await resource.sensor.x.set_strategy("event")
            asked = [line for line in device.heard if line.startswith(b"?sensor-sampling")]
            assert len(asked) == 4
            assert caplog.text.count("Not\\_today") == 1
            assert resource.sensor.x.sampling_strategy == ("event",)
            del device.answers["sensor-sampling"]
            await cut(resource)
            assert resource.sensor.x.reading.value == 3
            # Accepted and then refused again is news.
            device.answers["sensor-sampling"] = lambda session, message: [b"! fail No\\_more"]
            with caplog.at_level(logging.WARNING, "katcp.resource_client"):
                await cut(resource)
            assert caplog.text.count("No\\_more") == 1


async def test_a_connection_that_is_lost_while_strategies_are_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no refusal, and all are set on the next one."""
    device = Device(sensors={f"s{i}": "S. \\@ integer" for i in range(5)})
    async with device, resource_of(device) as resource:
        for name in device.sensors:
            await resource.sensor[name].set_strategy("event")
        cuts: list[int] = []

        def answer(session: Any, message: Any) -> Any:
            if message.arguments[0] == b"s0,s1,s2,s3,s4" and not cuts:
                cuts.append(1)
                session.abort()
                return []
            return device._sample(session, message)

        device.answers["sensor-sampling"] = answer
        resource._inspecting_client.katcp_client.disconnect()
        with caplog.at_level(logging.WARNING, "katcp.resource_client"):
            await until(lambda: cuts)
            await resource.until_state("disconnected", timeout=PATIENCE)
            await resource.until_synced(timeout=PATIENCE)
        assert "Cannot set strategy" not in caplog.text
        assert device.heard[-1].endswith(b" s0,s1,s2,s3,s4 event")
