"""Our clients against the server of aiokatcp, over loopback."""

# No `from __future__ import annotations`: aiokatcp reads the annotations of handlers as objects.
import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiokatcp
import pytest

from katcp.client import AsyncClient, Message
from katcp.inspecting_client import InspectingClientAsync
from katcp.sensors import Sensor
from tests.helpers.inspecting import Told
from tests.helpers.scripted import until


class Mode(enum.Enum):
    IDLE = 0
    BUSY_NOW = 1


class Device(aiokatcp.DeviceServer):
    VERSION = "peer-api-1.0"
    BUILD_STATE = "peer-1.0.0"

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        status = aiokatcp.Sensor.Status.NOMINAL
        for sensor in (
            aiokatcp.Sensor(int, "an.int", "An integer", "count", 3, status),
            aiokatcp.Sensor(float, "a.float", "A float", "V", 1.5, status),
            aiokatcp.Sensor(bool, "a.bool", "A switch", "", True, status),
            aiokatcp.Sensor(str, "a.string", "A text", "", "two words", status),
            aiokatcp.Sensor(Mode, "a.mode", "A mode", "", Mode.IDLE, status),
            aiokatcp.Sensor(aiokatcp.Timestamp, "a.time", "A time", "", None, status),
            aiokatcp.Sensor(aiokatcp.Address, "an.address", "An address", "", None, status),
        ):
            self.sensors.add(sensor)
        self.sensors["a.time"].set_value(aiokatcp.Timestamp(1500000000.25))

    async def request_add(self, ctx: aiokatcp.RequestContext, x: int, y: float = 0.5) -> float:
        """Add two numbers.

        The second one is a half if it is left out.
        """
        return x + y

    async def request_count(self, ctx: aiokatcp.RequestContext, number: int) -> int:
        """Count up to a number."""
        for i in range(number):
            ctx.inform(i)
        return number

    async def request_refuse(self, ctx: aiokatcp.RequestContext) -> None:
        """Refuse."""
        raise aiokatcp.FailReply("Not today")

    async def request_break(self, ctx: aiokatcp.RequestContext) -> None:
        """Break."""
        raise RuntimeError("broken handler")

    async def request_nap(self, ctx: aiokatcp.RequestContext, seconds: float) -> None:
        """Sleep."""
        await asyncio.sleep(seconds)


@asynccontextmanager
async def serving() -> AsyncIterator[Device]:
    device = Device()
    await device.start()
    try:
        yield device
    finally:
        await device.stop()


def port_of(device: Device) -> int:
    assert device.sockets
    return int(device.sockets[0].getsockname()[1])


@asynccontextmanager
async def inspecting(
    device: Device, told: Told | None = None
) -> AsyncIterator[InspectingClientAsync]:
    client = InspectingClientAsync("127.0.0.1", port_of(device), timeout=10)
    client.katcp_client.auto_reconnect_delay = 0.01
    client.set_state_callback(told)
    async with client:
        yield client


async def test_greeting() -> None:
    async with serving() as device:
        client = AsyncClient("127.0.0.1", port_of(device))
        client.set_ioloop()
        client.start()
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "5.1-BIM"
        reply, _ = await client.future_request(Message.request("watchdog"))
        assert reply.reply_ok()
        assert client.versions["katcp-device"] == ("peer-api-1.0", "peer-1.0.0")
        client.stop()
        await client.until_stopped(timeout=5)


async def test_help_and_typed_requests() -> None:
    async with serving() as device, inspecting(device) as client:
        assert {"add", "help", "sensor-list", "watchdog", "halt"} <= set(client.requests)
        reply, informs = await client.simple_request("help", "add")
        assert reply.arguments == [b"ok", b"1"]
        assert b"half" in informs[0].arguments[1]
        assert (await client.simple_request("add", 1, 2.5))[0].arguments == [b"ok", b"3.5"]
        assert (await client.simple_request("add", 1))[0].arguments == [b"ok", b"1.5"]
        reply, informs = await client.simple_request("count", 3)
        assert reply.arguments == [b"ok", b"3"]
        assert [inform.arguments for inform in informs] == [[b"0"], [b"1"], [b"2"]]


async def test_failures() -> None:
    async with serving() as device, inspecting(device) as client:
        for request, arguments, status, text in [
            ("refuse", [], b"fail", b"Not today"),
            ("break", [], b"fail", b"broken handler"),
            ("add", ["one"], b"fail", b""),
            ("add", [], b"fail", b""),
            ("nope", [], b"invalid", b"unknown request"),
        ]:
            reply, _ = await client.simple_request(request, *arguments)
            assert reply.arguments[0] == status
            assert text in reply.arguments[1]
        reply, _ = await client.simple_request("nap", 100, timeout=0.01)
        assert b"timed out" in reply.arguments[1]


async def test_replies_out_of_order() -> None:
    async with serving() as device, inspecting(device) as client:
        slow = client.simple_request("nap", 0.05)
        quick = client.simple_request("watchdog")
        assert (await quick)[0].reply_ok()
        assert not slow.done()
        assert (await slow)[0].reply_ok()


async def test_sensor_list_and_values() -> None:
    async with serving() as device, inspecting(device) as client:
        client.handle_sensor_value()
        reply, _ = await client.simple_request("sensor-value")
        assert reply.reply_ok()
        found = {}
        for name in client.sensors:
            sensor = await client.future_get_sensor(name)
            found[name] = (sensor.stype, sensor.units, sensor.status(), sensor.value())
        nominal = Sensor.NOMINAL
        assert found == {
            "an.int": ("integer", "count", nominal, 3),
            "a.float": ("float", "V", nominal, 1.5),
            "a.bool": ("boolean", "", nominal, True),
            "a.string": ("string", "", nominal, "two words"),
            "a.mode": ("discrete", "", nominal, "idle"),
            "a.time": ("timestamp", "", nominal, 1500000000.25),
            "an.address": ("address", "", nominal, ("0.0.0.0", None)),
        }
        mode = await client.future_get_sensor("a.mode")
        assert mode.params == ["idle", "busy-now"]


async def test_unknown_sensors_and_requests_are_known_to_be_so() -> None:
    async with serving() as device, inspecting(device) as client:
        assert await client.future_get_sensor("nope") is None
        assert await client.future_get_request("nope") is None
        assert client.synced


@pytest.mark.parametrize(
    ("strategy", "sets", "seen"),
    [
        (("auto",), [4, 4, 5], [3, 4, 4, 5]),
        (("event",), [4, 4, 5], [3, 4, 5]),
        (("differential", 2), [4, 6, 7], [3, 6]),
        (("event-rate", 0, 1000), [4, 5], [3, 4, 5]),
        (("differential-rate", 2, 0, 1000), [4, 6], [3, 6]),
    ],
)
async def test_strategies(strategy: tuple, sets: list[int], seen: list[int]) -> None:
    async with serving() as device, inspecting(device) as client:
        feed = client.readings("an.int")
        reply = await client.set_sampling("an.int", *strategy)
        assert reply is not None
        assert reply.reply_ok(), reply
        for value in sets:
            device.sensors["an.int"].set_value(value)
            await asyncio.sleep(0)
        await client.set_sampling("an.int", "none")
        device.sensors["an.int"].set_value(1000)
        await client.simple_request("watchdog")
        client.stop()
        readings = [reading async for _, reading in feed]
        assert readings.pop().status == Sensor.UNREACHABLE  # that is the end of the connection
        assert [reading.value for reading in readings] == seen


async def test_period() -> None:
    async with serving() as device, inspecting(device) as client:
        feed = client.readings("a.float")
        await client.set_sampling("a.float", "period", 0.01)
        for _ in range(4):
            _, reading = await asyncio.wait_for(feed.__anext__(), 5)
            assert reading.value == 1.5


async def test_bulk_sampling_and_its_return() -> None:
    told = Told()
    async with serving() as device, inspecting(device, told) as client:
        names = ["an.int", "a.float", "a.mode"]
        replies = await client.set_sampling(names, "event")
        assert all(reply is not None and reply.reply_ok() for reply in replies.values())
        # One that cannot have the strategy makes the whole fail, and then only itself.
        replies = await client.set_sampling(names, "differential", 1)
        assert [reply is not None and reply.reply_ok() for reply in replies.values()] == [
            True,
            True,
            False,
        ]
        sensor = await client.future_get_sensor("an.int")
        client.katcp_client.disconnect()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        device.sensors["an.int"].set_value(17)
        await until(lambda: sensor.value() == 17)


async def test_interface_changed() -> None:
    told = Told()
    async with serving() as device, inspecting(device, told) as client:
        await client.set_sampling("new", "event")
        device.sensors.add(aiokatcp.Sensor(int, "new", "New", "V", 7, aiokatcp.Sensor.Status.WARN))
        del device.sensors["a.bool"]
        device.mass_inform("interface-changed", "sensor-list")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.changes[-1] == {"sensors": {"added": {"new"}, "removed": {"a.bool"}}}
        assert told.tidy_story == "DCMSCMS"
        sensor = await client.future_get_sensor("new")
        await until(lambda: sensor.value() == 7)
        assert sensor.status() == Sensor.WARN


async def test_halt() -> None:
    async with serving() as device, inspecting(device) as client:
        sensor = await client.future_get_sensor("an.int")
        await client.set_sampling("an.int", "event")
        assert (await client.simple_request("halt"))[0].reply_ok()
        await client.until_not_synced(timeout=5)
        await device.join()
        assert not client.connected
        assert sensor.status() == Sensor.UNREACHABLE
        assert sensor.value() == 3
