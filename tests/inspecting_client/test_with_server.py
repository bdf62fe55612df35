"""The inspecting client and a server of this package, in every version of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from katcp.inspecting_client import InspectingClientAsync
from katcp.protocol import ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer
from tests.helpers.inspecting import Told
from tests.helpers.scripted import until
from tests.helpers.serving import serving

VERSIONS = ["5.1-BIMT", "5.1-IM", "5.0-IM", "5.0-M", "4.0-M"]


def demo(version: str) -> Any:
    class Demo(AsyncDeviceServer):
        PROTOCOL_INFO = ProtocolFlags.parse_version(version.encode())

        def setup_sensors(self) -> None:
            self.add_sensor(Sensor.integer("an.int", "An int", "count", [0, 10], default=3))
            self.add_sensor(Sensor.float("a.float", "A float", "V"))
            self.add_sensor(Sensor.discrete("a.word", "A word", "", ["on", "off now"]))
            self.add_sensor(Sensor.timestamp("a.time", "A time"))

        async def request_add(self, req: Any, x: int, y: int) -> int:
            """Add two integers."""
            return x + y

    return Demo("127.0.0.1", 0)


@asynccontextmanager
async def inspecting(
    server: AsyncDeviceServer, told: Told | None = None
) -> AsyncIterator[InspectingClientAsync]:
    client = InspectingClientAsync(*server.bind_address, timeout=10)
    client.katcp_client.auto_reconnect_delay = 0.01
    client.set_state_callback(told)
    async with client:
        yield client


@pytest.mark.parametrize("version", VERSIONS)
async def test_inspecting_asking_sampling(version: str) -> None:
    async with serving(demo(version)) as server, inspecting(server) as client:
        assert sorted(client.sensors) == ["a.float", "a.time", "a.word", "an.int"]
        assert {"add", "help", "sensor-list", "watchdog"} <= set(client.requests)
        replies = [client.simple_request("add", i, 1) for i in range(20)]
        results = [(await reply)[0].arguments for reply in replies]
        assert results == [[b"ok", b"%d" % (i + 1)] for i in range(20)]
        assert await client.future_get_sensor("nope") is None
        assert await client.future_get_request("nope") is None
        set_ = await client.set_sampling(client.sensors, "event")
        assert all(reply is not None and reply.reply_ok() for reply in set_.values())
        values = {"an.int": 7, "a.float": 0.1, "a.word": "off now", "a.time": 1500000000.25}
        for name, value in values.items():
            server.get_sensor(name).set_value(value, Sensor.WARN, 1600000000.5)
        sensors = {name: await client.future_get_sensor(name) for name in values}
        await until(lambda: {n: s.value() for n, s in sensors.items()} == values)
        assert {s.read().timestamp for s in sensors.values()} == {1600000000.5}
        assert sensors["an.int"].params == [0, 10]
        assert sensors["a.word"].params == ["on", "off now"]


@pytest.mark.parametrize("version", ["5.1-BIMT", "5.0-M"])
async def test_changes_at_run_time_are_followed_without_a_word_of_the_user(version: str) -> None:
    told = Told()
    async with serving(demo(version)) as server, inspecting(server, told) as client:
        await client.set_sampling("late", "event")
        server.add_sensor(Sensor.integer("late", "Late", "", default=42))
        await until(lambda: "late" in client.sensors and client.synced)
        late = await client.future_get_sensor("late")
        await until(lambda: late.value() == 42)
        server.remove_sensor("a.float")
        await until(lambda: "a.float" not in client.sensors and client.synced)
        for number in range(100):
            server.add_sensor(Sensor.integer(f"n{number}", "One of many"))
        await until(lambda: len(client.sensors) == 104 and client.synced)
        assert told.tidy_story.endswith("S")
        assert set(told.tidy_story) == set("DCMS")


async def test_a_server_that_stops_and_another_that_takes_its_place() -> None:
    told = Told()
    first = demo("5.1-BIMT")
    async with serving(first):
        host, port = first.bind_address
        client = InspectingClientAsync(host, port)
        client.katcp_client.auto_reconnect_delay = 0.01
        client.set_state_callback(told)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        await client.set_sampling("an.int", "event")
        sensor = await client.future_get_sensor("an.int")
        assert (await client.simple_request("halt"))[0].reply_ok()
        await client.until_not_synced(timeout=5)
        await until(lambda: sensor.status() == Sensor.UNREACHABLE)
        assert client.katcp_client.disconnect_reason == "Device server shutting down."
    second = demo("4.0-M")
    second = type(second)(host, port)
    async with serving(second):
        await client.until_synced(timeout=5)
        second.get_sensor("an.int").set_value(9)
        await until(lambda: sensor.value() == 9)
        client.stop()
        await client.until_stopped(timeout=5)
    assert told.tidy_story.startswith("DCMSDC")
    assert told.tidy_story.endswith("SD")


async def test_the_clients_of_two_hundred_requests_at_once() -> None:
    async with serving(demo("5.1-BIMT")) as server:
        clients = [InspectingClientAsync(*server.bind_address, timeout=10) for _ in range(10)]
        await asyncio.gather(*(client.__aenter__() for client in clients))
        asked = [c.simple_request("add", i, i) for i in range(20) for c in clients]
        for number, future in enumerate(asked):
            reply, _ = await future
            assert reply.arguments == [b"ok", b"%d" % (2 * (number // 10))]
        await asyncio.gather(*(client.stop() for client in clients))
