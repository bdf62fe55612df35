"""Requests and sensors come and go with those of the device."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from katcp.resource import KATCPDummyRequest, KATCPResourceInactive
from katcp.resource_client import KATCPClientResource
from katcp.sensors import Sensor
from tests.helpers.resources import PATIENCE, make, resource_of, running
from tests.helpers.scripted import Device, until
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump, Pump4


async def test_requests() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        answer = await resource.req.add(1, 2)
        assert answer.succeeded
        assert answer.reply.arguments == [b"ok", b"3.0"]
        reply, informs = await resource.req.fail_late("so it is", mid=77)
        assert str(reply) == "!fail-late[77] fail so\\_it\\_is"
        assert [str(inform) for inform in informs] == ["#fail-late[77] about\\_to\\_fail"]
        assert "Add two numbers." in resource.req.add.__doc__
        assert resource.req.fail_late.name == "fail-late"
        assert str(await resource.req.watchdog(use_mid=False)) == "!watchdog ok"
        answer = await resource.req.block(timeout=0.01)
        assert not answer
        assert b"timed out" in answer.reply.arguments[1]


async def test_requests_without_a_connection_fail_and_raise_nothing() -> None:
    async with Device() as device, resource_of(device) as resource:
        device.refuse()
        device.cut()
        await resource.until_state("disconnected", timeout=PATIENCE)
        answer = await resource.req.watchdog()
        assert not answer
        assert b"Not connected" in answer.reply.arguments[1]


@pytest.mark.parametrize(
    ("controlled", "allowed", "excluded", "offered"),
    [
        (False, (), (), []),
        (False, ["sensor-list", "help"], (), ["help", "sensor_list"]),
        (False, ["sensor_list", "help"], ["help"], ["sensor_list"]),
        (True, (), ["sensor-list"], ["help", "watchdog"]),
        (True, ["sensor_list"], ["sensor-list"], ["help", "watchdog"]),
        (True, (), (), ["help", "sensor_list", "watchdog"]),
    ],
)
async def test_which_requests_are_offered(
    controlled: bool, allowed: Any, excluded: Any, offered: list[str]
) -> None:
    requests = {"help": "Help.", "watchdog": "Pong.", "sensor-list": "List."}
    async with (
        Device(requests=requests) as device,
        resource_of(
            device,
            controlled=controlled,
            always_allowed_requests=allowed,
            always_excluded_requests=excluded,
        ) as resource,
    ):
        assert sorted(resource.req) == offered
        assert hasattr(resource.req, "watchdog") is ("watchdog" in offered)


async def test_unknown_requests_may_be_dummies() -> None:
    async with (
        Device() as device,
        resource_of(
            device, controlled=False, dummy_unknown_requests=True, always_allowed_requests=["help"]
        ) as resource,
    ):
        assert resource.dummy_unknown_requests
        assert isinstance(resource.req.blow_up, KATCPDummyRequest)
        assert (await resource.req.blow_up("the planet")).succeeded
        assert (await resource.req.watchdog()).succeeded
        assert (await resource.req.help()).succeeded
        assert device.heard[-1].startswith(b"?help[")
        assert not any(b"blow" in line or b"watchdog" in line for line in device.heard)


async def test_requests_of_an_inactive_resource_cannot_be_made() -> None:
    async with Device() as device, resource_of(device) as resource:
        resource.set_active(False)
        assert not resource.req.watchdog.is_active()
        with pytest.raises(KATCPResourceInactive):
            resource.req.watchdog()
        resource.set_active(True)
        assert (await resource.req.watchdog()).succeeded


async def test_time_limits_are_those_that_the_device_hints() -> None:
    async with Device() as device:
        device.requests["nap"] = "Sleep."
        device.hints["nap"] = 0.05
        device.answers["nap"] = lambda session, message: []
        async with resource_of(device) as resource:
            assert resource.req.nap.timeout_hint == 0.05
            assert resource.req.watchdog.timeout_hint is None
            answer = await asyncio.wait_for(resource.req.nap(), 2)
            assert b"timed out" in answer.reply.arguments[1]
            answer = await asyncio.wait_for(resource.req.nap(timeout=None), 2)
            assert not answer


async def test_sensors_and_requests_come_and_go() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        old = resource.sensor.pump_flow_rate
        kept = resource.sensor.pump_speed
        pump.remove_sensor("last-start")
        pump.add_sensor(Sensor.float("pump.flow-rate", "Flow.", "ml/s"))
        pump.add_sensor(Sensor.boolean("items"))
        pump._request_handlers = dict(pump._request_handlers)
        pump._request_handlers["extra"] = pump._request_handlers.pop("add")
        pump.changed()
        await until(lambda: "extra" in resource.req)
        await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["items", "pump_flow_rate", "pump_speed"]
        assert "add" not in resource.req
        assert resource.sensor.pump_flow_rate is not old
        assert resource.sensor.pump_flow_rate.units == "ml/s"
        assert resource.sensor.pump_speed is kept
        assert dict.keys(resource.sensor) == set(resource.sensor)


async def test_listeners_go_with_what_comes_in_the_place_of_a_sensor() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        heard: list[Any] = []
        resource.sensor.pump_speed.register_listener(lambda *args: heard.append(args[2:]))
        assert await resource.set_sensor_listener(
            "pump.speed", lambda sensor, reading: heard.append((sensor.units, reading.value))
        )
        await resource.set_sampling_strategy("pump_speed", "event")
        heard.clear()
        pump.remove_sensor("pump.speed")
        pump.changed()
        await until(lambda: "pump_speed" not in resource.sensor)
        pump.add_sensor(Sensor.integer("pump.speed", "Speed.", "rps", default=4))
        pump.changed()
        await until(lambda: "pump_speed" in resource.sensor)
        await resource.until_synced(timeout=PATIENCE)
        assert heard == [("unknown", 4), ("rps", 4)]


async def test_listeners_for_sensors_that_are_not_there_yet() -> None:
    async with serving(Pump()) as pump:
        resource = make(*pump.bind_address)
        heard: list[Any] = []

        def listen(sensor: Any, reading: Any) -> None:
            heard.append((sensor.name, reading.value))

        assert await resource.set_sensor_listener("pump.speed", listen) == {}
        assert await resource.set_sensor_listener("pump_speed", listen) == {}
        async with running(resource):
            assert await resource.set_sensor_listener("pump_speed", listen) == {
                "pump_speed": listen
            }
            assert await resource.sensor.pump_speed.get_value() == 0
            assert heard == [("pump.speed", 0)]


async def test_readings_that_are_asked_for() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        sensor = resource.sensor.pump_flow_rate
        assert (sensor.value, sensor.status) == (None, "unknown")
        pump.get_sensor("pump.flow-rate").set_value(0.75, Sensor.WARN, 12.5)
        reading = await sensor.get_reading()
        assert reading[1:] == (12.5, Sensor.WARN, 0.75)
        assert reading.received_timestamp > 1e9
        assert sensor.parent_name == "dev"
        _, informs = await resource.req.sensor_value("pump.speed")
        assert len(informs) == 1
        assert resource.sensor.pump_speed.value == 0


async def test_readings_that_cannot_be_had() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        pump.remove_sensor("pump.speed")
        with pytest.raises(Exception, match=r"pump\.speed") as raised:
            await resource.sensor.pump_speed.get_value()
        assert type(raised.value).__name__ == "KATCPSensorError"


async def test_version_4() -> None:
    async with serving(Pump4()) as pump, resource_of(pump) as resource:
        pump.get_sensor("last-start").set_value(12.5, timestamp=3.25)
        pump.get_sensor("pump.speed").set_value(7, timestamp=1.5)
        reading = await resource.sensor.last_start.get_reading()
        assert reading[1:] == (3.25, Sensor.NOMINAL, 12.5)
        result = await resource.sensor.pump_speed.set_strategy("event")
        assert result == (True, ("event",))
        assert resource.sensor.pump_speed.reading[1:] == (1.5, Sensor.NOMINAL, 7)
        # Times are handed on as they are: milliseconds for such a device.
        await resource.set_sampling_strategy("pump.speed", "period 5000")
        assert pump.sampled[-1] == "sensor-sampling pump.speed period 5000"
        assert str(await resource.req.add(1, 2)) == "!add ok 3.0"


async def test_w13_values_of_version_4_are_parsed_so() -> None:
    async with serving(Pump4()) as pump, resource_of(pump) as resource:
        assert resource.sensor.last_start.parse_value(b"1500") == 1.5


async def test_w66_a_sensor_of_an_unknown_type_harms_no_other() -> None:
    sensors = {"a.good": "A. \\@ integer", "bad": "B. \\@ hologram x y", "good": "C. \\@ float"}
    async with Device(sensors=sensors) as device, resource_of(device) as resource:
        assert resource.synced
        assert {"a_good", "good"} <= set(resource.sensor)


async def test_w66_a_sensor_that_cannot_be_made_is_skipped_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Device(sensors={"a": "A. \\@ integer", "b": "B. \\@ integer"}) as device:
        resource = make(device.host, device.port)
        resource.start()
        factory = resource._inspecting_client.sensor_factory

        def make_sensor(**description: Any) -> Any:
            if description["name"] == "a":
                raise ValueError("no such thing")
            return factory(**description)

        resource._inspecting_client.sensor_factory = make_sensor
        with caplog.at_level(logging.ERROR, "katcp.resource_client"):
            await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["b"]
        assert "cannot make an object of 'a'" in caplog.text
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)


async def test_a_loss_while_sensors_are_added_loses_none() -> None:
    sensors = {f"s{i}": "S. \\@ integer" for i in range(20)}
    async with Device(sensors=sensors) as device:
        resource = make(device.host, device.port)
        resource.MAX_LOOP_LATENCY = -1  # let others have a turn after each
        resource.start()
        while len(resource.sensor) < 4:  # noqa: ASYNC110  # turn by turn
            await asyncio.sleep(0)
        assert len(resource.sensor) < 20
        resource._inspecting_client.katcp_client.disconnect()
        await until(lambda: "disconnected" in resource.story[1:])
        await resource.until_synced(timeout=PATIENCE)
        assert len(resource.sensor) == 20
        assert "watchdog" in resource.req
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)


async def test_many_sensors_do_not_keep_the_loop() -> None:
    sensors = {f"s{i}": "S. \\@ integer" for i in range(50)}
    async with Device(sensors=sensors) as device:
        resource = make(device.host, device.port)
        resource.MAX_LOOP_LATENCY = -1
        seen: set[int] = set()
        resource.start()
        while not resource.synced:
            seen.add(len(resource.sensor))
            await asyncio.sleep(0)
        assert len(seen) > 40
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)


async def test_a_parent_is_told() -> None:
    class Parent:
        name = "par"

        def __init__(self) -> None:
            self.told: list[Any] = []

        def __getattr__(self, what: str) -> Any:
            return lambda child, keys: self.told.append((what, child.name, sorted(keys)))

    parent = Parent()
    sensors = {"a.b": "A. \\@ integer"}
    async with Device(sensors=sensors) as device:
        spec = {"name": "dev", "address": (device.host, device.port), "controlled": True}
        resource = KATCPClientResource(spec, parent=parent)
        async with running(resource):
            assert parent.told == [
                ("_child_add_requests", "dev", ["help", "watchdog"]),
                ("_child_add_sensors", "dev", ["a_b"]),
            ]
            parent.told.clear()
            del device.sensors["a.b"], device.requests["watchdog"]
            device.say(b"#interface-changed")
            await until(lambda: len(parent.told) == 2)
            assert parent.told == [
                ("_child_remove_requests", "dev", ["watchdog"]),
                ("_child_remove_sensors", "dev", ["a_b"]),
            ]
