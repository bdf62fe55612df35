"""What a device offers: looking things up, objects of them, inspecting by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.gen import coroutine

from katcp.client import Message
from katcp.errors import SyncError
from katcp.inspecting_client import RequestType
from tests.helpers.inspecting import Told, inspecting, make
from tests.helpers.scripted import V51, Device, Session, until
from tests.inspecting_client.test_client import device


async def test_known_ones_are_not_asked_for() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.forget()
        sensor = await client.future_get_sensor("a.b")
        assert (sensor.name, sensor.stype, sensor.params) == ("a.b", "integer", [-1, 5])
        assert await client.future_get_sensor("a.b") is sensor
        request = await client.future_get_request("help")
        assert request == RequestType(name="help", description="Help.", timeout_hint=None)
        assert await client.future_get_request("help") is request
        assert await client.future_check_sensor("a.c")
        assert await client.future_check_request("watchdog")
        assert dev.heard == []


async def test_unknown_ones_are_asked_for_unless_told_not_to() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.forget()
        assert await client.future_get_sensor("nope", update=False) is None
        assert await client.future_get_request("nope", update=False) is None
        assert not await client.future_check_sensor("nope", update=False)
        assert dev.heard == []
        assert await client.future_get_sensor("nope") is None
        assert await client.future_get_request("nope") is None
        assert not await client.future_check_request("nope", update=True)
        assert dev.heard == [b"?sensor-list[3] nope", b"?help[4] nope", b"?help[5] nope"]
        dev.sensors["later"] = "Not_announced. V float"
        sensor = await client.future_get_sensor("later")
        assert sensor.name == "later"
        assert "later" in client.sensors
        assert client.synced


async def test_w58_an_unknown_request_of_a_device_with_hints() -> None:
    async with device(greeting=V51) as dev, inspecting(dev) as client:
        assert await client.future_get_request("nope") is None
        assert dev.heard[3:] == [b"?help[4] nope"]
        dev.requests["slow"] = "Slow."
        dev.hints["slow"] = 30.0
        request = await client.future_get_request("slow")
        assert request == RequestType("slow", "Slow.", 30.0)


async def test_w57_changed_ones_are_made_anew_with_the_documented_keywords() -> None:
    given: list[dict[str, Any]] = []

    def request_factory(**kwargs: Any) -> RequestType:
        given.append(kwargs)
        return RequestType(**kwargs)

    async with device() as dev:
        client = make(dev)
        client.request_factory = request_factory
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        sensor, other = [await client.future_get_sensor(name) for name in ("a.b", "a.c")]
        watchdog = await client.future_get_request("watchdog")
        dev.sensors["a.b"] = "Sensor. mV integer -1 5"
        dev.requests |= {"watchdog": "Bark.", "help": "Other help."}
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        new = await client.future_get_sensor("a.b")
        assert new is not sensor
        assert (sensor.units, new.units) == ("V", "mV")
        assert await client.future_get_sensor("a.c") is other
        assert (await client.future_get_request("watchdog")).description == "Bark."
        assert watchdog.description == "Pong."
        assert (await client.future_get_request("help")).description == "Other help."
        assert [sorted(kwargs) for kwargs in given] == 3 * [["description", "name", "timeout_hint"]]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_looking_up_waits_for_a_sync_that_is_under_way() -> None:
    gate = asyncio.Event()
    async with device() as dev:

        async def listing(session: Session, message: Message) -> list[bytes]:
            await gate.wait()
            return dev._builtin(session, message)

        dev.answers["sensor-list"] = listing
        client = make(dev)
        await client.connect(timeout=5)
        asked = client.future_get_sensor("a.b")
        await until(lambda: len(dev.heard) == 2)
        assert not asked.done()
        gate.set()
        assert (await asked).name == "a.b"
        assert len(dev.heard) == 2
        client.stop()
        await client.until_stopped(timeout=5)


async def test_looking_up_in_the_callback_once_the_data_is_synced() -> None:
    found: list[Any] = []
    async with device() as dev:
        client = make(dev)

        @coroutine
        def callback(state: Any, changes: Any) -> Any:
            if state.data_synced and changes:
                for name in sorted(changes.sensors.added):
                    sensor = yield client.future_get_sensor(name)
                    found.append(sensor.name)

        client.set_state_callback(callback)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert found == ["a.b", "a.c"]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_inspecting_by_hand() -> None:
    async with device() as dev, inspecting(dev) as client:
        assert await client.inspect() is None
        dev.sensors["new"] = "New. V float"
        del dev.requests["watchdog"]
        changes = await client.inspect()
        assert changes == {
            "requests": {"added": set(), "removed": {"watchdog"}},
            "sensors": {"added": {"new"}, "removed": set()},
        }
        assert changes.sensors.added == {"new"}
        dev.requests["watchdog"] = "Pong."
        changes = await client.inspect_requests(timeout=5)
        assert changes == {"added": {"watchdog"}, "removed": set()}
        assert await client.inspect_sensors() is None
        del dev.sensors["new"]
        assert await client.inspect_sensors("new") == {"added": set(), "removed": {"new"}}
        assert await client.inspect_sensors("new") is None
        assert await client.inspect_requests("nope") is None
        assert "new" not in client.sensors


async def test_nothing_is_kept_if_one_half_of_an_inspection_fails() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.requests["go"] = "Go."
        dev.answers["sensor-list"] = lambda session, message: [b"! fail not\\_ready"]
        with pytest.raises(SyncError, match=r"\?sensor-list was answered"):
            await client.inspect()
        assert "go" not in client.requests
        with pytest.raises(SyncError):
            await client.inspect_sensors("x")
        with pytest.raises(SyncError):
            await client.future_get_sensor("x")
        assert client.synced


async def test_an_inspection_that_runs_out_of_time_or_of_a_device() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.answers["sensor-list"] = lambda session, message: None
        with pytest.raises(SyncError, match="timed out"):
            await client.inspect_sensors(timeout=0.01)
        lost = client.inspect_sensors()
        dev.cut()
        with pytest.raises(SyncError, match="Connection closed"):
            await lost
        del dev.answers["sensor-list"]


async def test_what_was_looked_up_before_it_was_announced_is_told_with_the_next_changes() -> None:
    told = Told()
    async with (
        Device(V51, {"a": "A_sensor. V integer"}) as device,
        inspecting(device, told) as client,
    ):
        device.sensors["b"] = "Another. V integer"
        assert await client.future_get_sensor("b") is not None
        assert len(told.changes) == 1, "who has looked it up knows of it"
        device.say(b"#interface-changed")
        await until(lambda: len(told.changes) == 2)
        assert told.changes[1].sensors == {"added": {"b"}, "removed": set()}
        # Once.
        device.say(b"#interface-changed")
        await until(lambda: told.story.endswith("NS"))
        assert len(told.changes) == 2
