"""The life of a resource, and the states it is in."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.errors import KatcpClientError
from katcp.protocol import ProtocolFlags
from katcp.resource import KATCPResource
from katcp.resource_client import KATCPClientResource, ReplyWrappedInspectingClientAsync
from katcp.sensors import Sensor
from tests.helpers.resources import PATIENCE, make, resource_of, running
from tests.helpers.scripted import V50_NO_IDS, Device, until
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump, PumpBulk

SPEC = {"name": "a-b.c", "address": ("somehost", 1234)}


def test_what_it_is_by_default() -> None:
    resource = KATCPClientResource(SPEC)
    assert isinstance(resource, KATCPResource)
    assert (resource.name, resource.description) == ("a-b.c", "")
    assert resource.address == ("somehost", 1234)
    assert (resource.host, resource.port) == ("somehost", 1234)
    assert resource.address_string == "somehost:1234"
    assert (resource.parent, resource.parent_name, resource.children) == (None, None, {})
    assert resource.controlled is False
    assert resource.dummy_unknown_requests is False
    assert (resource.auto_reconnect, resource.auto_reconnect_delay) == (True, 0.5)
    assert (resource.always_allowed_requests, resource.always_excluded_requests) == (set(), set())
    assert (resource.req, resource.sensor) == ({}, {})
    assert resource.MAX_LOOP_LATENCY == 0.03
    assert repr(resource).startswith("<katcp.resource_client.KATCPClientResource(name=a-b.c) at ")


def test_what_it_is_told_to_be() -> None:
    class Parent:
        name = "par"

    resource = KATCPClientResource(
        {
            **SPEC,
            "description": "D.",
            "controlled": True,
            "always_allowed_requests": ["watch-dog"],
            "always_excluded_requests": ("sensor-list", "sensor_value"),
            "auto_reconnect": False,
            "auto_reconnect_delay": 2,
            "something_else": 1,
        },
        parent=Parent(),
        logger=logging.getLogger("mine"),
    )
    assert (resource.description, resource.controlled) == ("D.", True)
    assert resource.parent_name == "par"
    assert resource.always_allowed_requests == {"watch_dog"}
    assert resource.always_excluded_requests == {"sensor_list", "sensor_value"}
    assert (resource.auto_reconnect, resource.auto_reconnect_delay) == (False, 2)


@pytest.mark.parametrize("key", ["name", "address"])
def test_what_the_spec_has_to_have(key: str) -> None:
    with pytest.raises(KeyError, match=key):
        KATCPClientResource({k: v for k, v in SPEC.items() if k != key})


async def test_before_start() -> None:
    resource = KATCPClientResource(SPEC)
    assert (resource.state, resource.synced, resource.is_connected()) == (
        "disconnected",
        False,
        False,
    )
    assert resource.is_active()
    for what in ("versions", "last_connect_time"):
        with pytest.raises(RuntimeError, match=r"start\(\)"):
            getattr(resource, what)
    with pytest.raises(ValueError, match="odd"):
        resource.until_state("odd")
    assert resource.until_state("disconnected").done()
    assert resource.until_not_synced().done()
    with pytest.raises(gen.TimeoutError):
        await resource.until_synced(timeout=0.01)
    with pytest.raises(gen.TimeoutError):
        await resource.wait_connected(timeout=0.01)
    resource.drop_sampling_strategy("a.b")


async def test_w77_stop_before_start_does_nothing() -> None:
    resource = KATCPClientResource(SPEC)
    resource.stop()
    assert resource.until_stopped().done()
    assert resource.state == "disconnected"
    assert not resource.until_synced().done()


async def test_from_start_to_stop() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        assert resource.story == ["disconnected", "syncing", "synced"]
        assert (resource.synced, resource.is_connected()) == (True, True)
        assert resource.versions["katcp-device"] == ("pump-api-1.0", "pump-1.0")
        assert resource.last_connect_time is not None
        assert resource.wait_connected().done()
        assert sorted(resource.sensor) == ["last_start", "pump_flow_rate", "pump_speed"]
        assert {"add", "sensor_list", "fail_late"} <= set(resource.req)
        resource.stop()
        assert resource.story[-1] == "disconnected"
        assert not resource.is_connected()
        await resource.until_stopped(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["last_start", "pump_flow_rate", "pump_speed"]


async def test_starting_what_runs_and_stopping_twice_do_nothing() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        client = resource._inspecting_client
        resource.start()
        assert resource._inspecting_client is client
        assert resource.synced
        resource.stop()
        resource.stop()


async def test_a_device_that_restarts() -> None:
    pump = Pump()
    async with serving(pump):
        resource = make(*pump.bind_address)
        resource.start()
        await resource.until_synced(timeout=PATIENCE)
        speed = resource.sensor.pump_speed
    await resource.until_not_synced(timeout=PATIENCE)
    await resource.until_state("disconnected", timeout=PATIENCE)
    again = Pump(resource.port)
    again.add_sensor(Sensor.boolean("new.one"))
    async with serving(again):
        await resource.until_synced(timeout=PATIENCE)
        assert resource.story == ["disconnected", "syncing", "synced"] * 2
        assert "new_one" in resource.sensor
        assert resource.sensor.pump_speed is speed
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)


async def test_readings_stay_when_the_connection_is_lost() -> None:
    device = Device(V50_NO_IDS, {"x": "X. \\@ integer"})
    async with device, resource_of(device) as resource:
        heard: list[Any] = []
        await resource.sensor.x.set_strategy("event")
        resource.sensor.x.register_listener(lambda *args: heard.append(args))
        reading = resource.sensor.x.reading
        assert reading[1:] == (1600000000.25, Sensor.NOMINAL, 3)
        device.refuse()
        device.cut()
        await resource.until_state("disconnected", timeout=PATIENCE)
        assert resource.sensor.x.reading == reading
        assert heard == []


async def test_a_change_is_noticed_before_the_reply_that_follows_it() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        pump.add_sensor(Sensor.boolean("new.one"))
        pump.changed()
        await resource.req.watchdog()
        assert resource.state == "syncing"
        await resource.until_synced(timeout=PATIENCE)
        assert "new_one" in resource.sensor


async def test_it_may_be_started_again() -> None:
    async with serving(Pump()) as pump:
        resource = make(*pump.bind_address)
        heard: list[Any] = []
        async with running(resource):
            await resource.set_sampling_strategy("pump.speed", "event")
            resource.sensor.pump_speed.register_listener(lambda *args: heard.append(args[3]))
            first = resource.sensor.pump_speed
        pump.remove_sensor("last-start")
        pump.heard.clear()
        async with running(resource):
            assert sorted(resource.sensor) == ["pump_flow_rate", "pump_speed"]
            assert resource.sensor.pump_speed is not first
            assert pump.sampled == ["sensor-sampling pump.speed event"]
            pump.get_sensor("pump.speed").set_value(17)
            await resource.req.watchdog()
            assert heard[-1] == 17
            assert resource.sensor.pump_speed.sampling_strategy == ("event",)


async def test_starting_again_at_once() -> None:
    async with serving(Pump()) as pump:
        resource = make(*pump.bind_address)
        resource.start()
        await resource.until_synced(timeout=PATIENCE)
        before = resource._inspecting_client
        resource.stop()
        async with running(resource):
            await before.until_stopped(timeout=PATIENCE)
            assert resource.story == ["disconnected", "syncing", "synced"] * 2


async def test_nobody_waits_for_ever_for_a_resource_that_is_stopped() -> None:
    async with Device(sensors={"x": "X. \\@ integer"}) as device:
        device.answers["block"] = lambda session, message: []
        device.requests["block"] = "Never answers."
        async with resource_of(device) as resource:
            await resource.sensor.x.set_strategy("event")
            waits = [resource.until_state("syncing"), resource.wait("x", 77, timeout=None)]
            request = resource.req.block()
            await asyncio.sleep(0)
            resource.stop()
            for wait in waits:
                with pytest.raises(KatcpClientError, match="stopped"):
                    await wait
            assert not (await request).succeeded
            for late in (resource.until_synced(), resource.wait_connected()):
                with pytest.raises(KatcpClientError, match="stopped"):
                    await late
            assert resource.until_not_synced().done()
            assert not (await resource.req.block()).succeeded


async def test_a_client_that_has_given_up_ends_the_waits_too() -> None:
    async with Device() as device, resource_of(device, auto_reconnect=False) as resource:
        syncing = resource.until_state("syncing")
        device.cut()
        with pytest.raises(KatcpClientError):
            await asyncio.wait_for(syncing, PATIENCE)
        assert resource.state == "disconnected"


async def test_a_stopped_resource_that_nobody_holds_is_gone() -> None:
    async with serving(Pump()) as pump:
        resource = make(*pump.bind_address)
        resource.start()
        await resource.until_synced(timeout=PATIENCE)
        await resource.set_sampling_strategies("", "event")
        waits = [resource.until_state("syncing"), resource.wait("pump.speed", 5, timeout=None)]
        await asyncio.sleep(0)
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)
        gone = [weakref.ref(x) for x in (resource, resource._inspecting_client)]
        gone.append(weakref.ref(resource.sensor.pump_speed))
        await asyncio.wait(waits)
        del resource, waits
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in gone] == [None] * 3


def test_one_that_was_never_started_is_gone_at_once() -> None:
    resource = KATCPClientResource(SPEC)
    gone = weakref.ref(resource)
    del resource
    gc.collect()
    assert gone() is None


async def test_what_the_device_speaks_can_be_preset() -> None:
    async with Device(greeting=[b"#hello"]) as device:
        flags = ProtocolFlags(5, 0, [b"M", b"I"])
        async with resource_of(device, preset_protocol_flags=flags) as resource:
            assert device.heard[0] == b"?help[1]"
            assert resource.synced


async def test_the_client_can_be_of_ones_own_making() -> None:
    made: list[Any] = []

    class Mine(KATCPClientResource):
        def inspecting_client_factory(self, host: str, port: int, ioloop_set_to: Any) -> Any:
            made.append((host, port, ioloop_set_to))
            client = ReplyWrappedInspectingClientAsync(host, port, ioloop_set_to)
            client.reply_wrapper = lambda answer: answer  # type: ignore[method-assign]
            return client

    async with serving(Pump()) as pump:
        resource = Mine({"name": "x", "address": pump.bind_address, "controlled": True})
        async with running(resource):
            assert made == [(*pump.bind_address, None)]
            answer = await resource.req.watchdog()
            assert type(answer) is tuple


async def test_informs_can_be_hooked_on_the_client_below() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        heard: list[str] = []
        client = resource._inspecting_client.katcp_client
        client.hook_inform("sensor-status", lambda msg: heard.append(str(msg)))
        await resource.sensor.pump_speed.set_strategy("event")
        assert len(heard) == 1
        assert "pump.speed unknown 0" in heard[0]


def test_a_resource_that_lives_in_the_loop_of_another_thread(io_loop: IOLoop) -> None:
    """Made, started and stopped in a thread that has no loop."""
    pump = PumpBulk()
    pump.set_ioloop(io_loop)
    done = threading.Event()
    resource: list[Any] = []
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            made = make(*pump.bind_address)
            resource.append(made)
            made.set_ioloop(io_loop)
            assert made.set_sampling_strategy("pump.speed", "event").result() == {}
            made.start()
            synced = threading.Event()
            io_loop.add_callback(
                lambda: made.until_synced(PATIENCE).add_done_callback(lambda _: synced.set())
            )
            assert synced.wait(PATIENCE)
            assert made.synced
            made.stop()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    async def main() -> None:
        async with serving(pump):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            await until(done.is_set)
            thread.join()
            await resource[0].until_stopped(timeout=PATIENCE)

    io_loop.run_sync(main)
    assert errors == []
    assert pump.sampled == ["sensor-sampling pump.speed event"]
    assert resource[0].story == ["disconnected", "syncing", "synced", "disconnected"]


def test_started_and_stopped_while_the_loop_does_not_run(io_loop: IOLoop) -> None:
    pump = Pump()
    pump.set_ioloop(io_loop)
    io_loop.run_sync(lambda: _started(pump))
    resource = make(*pump.bind_address)
    resource.set_ioloop(io_loop)
    resource.start()
    assert resource.state == "disconnected"
    io_loop.run_sync(lambda: resource.until_synced(timeout=PATIENCE))
    assert resource.synced
    resource.stop()
    io_loop.run_sync(lambda: resource.until_stopped(timeout=PATIENCE))
    assert resource.state == "disconnected"
    io_loop.run_sync(lambda: pump.stop())


async def _started(pump: Pump) -> None:
    pump.start()
