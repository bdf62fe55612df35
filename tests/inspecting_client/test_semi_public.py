"""Names with an underscore that code for katcp-python 0.9.3 uses, and the wart of double states."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType
from katcp.protocol import Message
from tests.helpers.inspecting import Told, inspecting, make
from tests.helpers.scripted import V51, Device, until

SENSORS = {"a.int": "An\\_int V integer 0 9", "a.str": "A\\_text \\@ string"}
REQUESTS = {"hello": "Say hello."}


def device() -> Device:
    return Device(V51, dict(SENSORS), dict(REQUESTS))


async def test_indexes_show_what_is_known() -> None:
    async with device() as server, inspecting(server) as client:
        assert client._sensors_index["a.int"] == {
            "description": "An int",
            "units": "V",
            "sensor_type": "integer",
            "params": ["0", "9"],
        }
        assert client._requests_index["hello"] == {
            "name": "hello",
            "description": "Say hello.",
            "timeout_hint": None,
        }
        assert client._sensor_object_cache == {}
        sensor = await client.future_get_sensor("a.int")
        assert client._sensor_object_cache == {"a.int": sensor}
        assert client._sensors_index["a.int"]["obj"] is sensor
        request = await client.future_get_request("hello")
        assert client._requests_index["hello"]["obj"] is request


async def test_informs_may_be_handed_in() -> None:
    async with device() as server, inspecting(server) as client:
        sensor = await client.future_get_sensor("a.int")
        client._cb_inform_sensor_status(
            Message.inform("sensor-status", "1.5", 2, "a.int", "warn", 5, "a.str", "nominal", "x")
        )
        assert sensor.read() == (1.5, sensor.WARN, 5)


@pytest.mark.parametrize("how", ["_cb_inform_interface_change", "_cb_inform_deprecated"])
async def test_a_change_may_be_handed_in(how: str) -> None:
    told = Told()
    async with device() as server, inspecting(server, told) as client:
        await until(lambda: client.synced)
        server.sensors["new"] = "New \\@ boolean"
        getattr(client, how)(Message.inform("interface-changed"))
        assert not client.synced
        await client.until_synced(5)
        assert "new" in client.sensors
        assert told.changes[-1].sensors.added == {"new"}


async def test_the_connection_may_be_said_to_be_lost() -> None:
    async with device() as server, inspecting(server) as client:
        client._cb_connection_state(False)
        assert not client.connected
        assert not any(client.state)
        client._cb_connection_state(True)
        assert client.connected
        await client.until_synced(5)


async def test_a_connection_that_is_another_when_the_callback_ends() -> None:
    async with device() as server:
        back = asyncio.Event()

        async def slow(state: InspectingClientStateType, changes: Any) -> None:
            if state.synced and not back.is_set():
                server.cut()
                await until(lambda: not client.connected)
                await until(lambda: client.connected)
                back.set()

        client = make(server)
        client.set_state_callback(slow)
        client.connect()
        try:
            await asyncio.wait_for(back.wait(), 5)
            await client.until_synced(5)
        finally:
            client.stop()
            await client.until_stopped(5)


async def test_states_may_be_sent() -> None:
    told = Told()
    async with device() as server, inspecting(server, told) as client:
        told.states.clear()
        await client._send_state(True, False, True, True, {"sensors": 1})
        assert told.states == [InspectingClientStateType(True, False, True, True)]
        assert told.changes[-1] == {"sensors": 1}
        assert client.state.model_changed
        with pytest.raises(ValueError, match="not a state"):
            await client._send_state(False, True, True, True)
        await client._send_state(connected=True, synced=True, model_changed=False, data_synced=True)
        assert client.synced


def unconnected() -> InspectingClientAsync:
    return InspectingClientAsync("127.0.0.1", 1)


def test_index_entries_are_marked_when_they_change() -> None:
    client = unconnected()
    index: dict[str, Any] = {}
    client._update_index(index, "a", {"k": 1})
    client._update_index(index, "a", {"k": 1})
    assert index == {"a": {"k": 1}}
    client._update_index(index, "a", {"k": 2})
    assert index == {"a": {"k": 2, "_changed": True}}
    client._update_index(index, "b", {"k": 1})
    client._update_index(index, "b", {"j": 1})
    assert index["b"] == {"k": 1, "j": 1, "_changed": True}


def test_difference_of_indexes() -> None:
    client = unconnected()
    index: dict[str, Any] = {"a": {"k": 1}, "b": {"k": 2, "_changed": True}, "c": {}, "d": {}}
    assert client._difference(["a", "b", "d"], ["b", "c", "d"], None, index) == (
        {"b", "c"},
        {"a", "b"},
    )
    assert index == {"b": {"k": 2, "_changed": False}, "c": {}, "d": {}}
    assert client._difference({"b", "c"}, {"b", "c"}, None, index) == (set(), set())
    assert client._difference({"b", "c"}, {"c"}, "b", index) == (set(), {"b"})
    assert client._difference({"c"}, {"c", "d", "e"}, "e", index) == ({"e"}, set())


async def test_w63_states_come_in_order_and_may_come_twice() -> None:
    told = Told()
    async with device() as server, inspecting(server, told):
        assert told.tidy_story == "DCMS"
        server.cut()
        await until(lambda: told.tidy_story == "DCMSDCNS")
    assert told.tidy_story == "DCMSDCNSD"


async def test_the_loop_is_the_current_one_unless_given() -> None:
    assert unconnected().ioloop is IOLoop.current()


def test_asking_for_the_loop_makes_none() -> None:
    assert unconnected().ioloop is None
