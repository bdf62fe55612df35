"""aiokatcp's client at the other end of our server.

Annotations are not postponed here: aiokatcp reads those of callbacks.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import aiokatcp
import pytest

from katcp.errors import FailReply
from katcp.kattypes import Int, Str, request, return_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor
from tests.helpers.serving import serving, until

Status = aiokatcp.Sensor.Status


class Handlers:
    """Handlers and sensors of each kind."""

    VERSION_INFO = ("interop", 1, 2)
    BUILD_INFO = ("interop-build", 1, 2, "rc3")

    def setup_sensors(self) -> None:
        self.begun: list[str] = []
        for sensor in (
            Sensor.integer("an.int", "A number.", "count", [-5, 5]),
            Sensor.float("a.float", "A number.", "V"),
            Sensor.boolean("a.bool", "A switch."),
            Sensor.discrete("a.mode", "A mode.", params=["on", "off", "stand-by"]),
            Sensor.string("a.string", "Text with spaces, and more.", default="über alles"),
            Sensor.timestamp("a.time", "A time."),
            Sensor.address("an.address", "An address."),
        ):
            self.add_sensor(sensor)  # type: ignore[attr-defined]

    def request_add(self, req: Any, x: int, y: float = 0.5) -> float:
        """Add two numbers."""
        return x + y

    async def request_swap(self, req: Any, first: str, flag: bool) -> tuple[bool, str]:
        """Give it back the other way about."""
        await asyncio.sleep(0)
        return flag, first

    @request(Int(), Str(multiple=True))
    @return_reply(Str())
    def request_join(self, req: Any, times: int, *parts: str) -> Any:
        """Join texts."""
        for part in parts:
            req.inform("part", part)
        return ("ok", " ".join(parts) * times)

    def request_echo(self, req: Any, msg: Message) -> Any:
        """Say it again."""
        return req.make_reply("ok", *msg.arguments)

    def request_fail(self, req: Any, msg: Message) -> Any:
        """Fail as foreseen."""
        raise FailReply("No can do: reason here.")

    def request_boom(self, req: Any, msg: Message) -> Any:
        """Fail otherwise."""
        raise RuntimeError("something broke")

    async def request_wait(self, req: Any, name: str) -> str:
        """Wait for ever."""
        self.begun.append(name)
        await asyncio.sleep(3600)
        return name


class InLoop(Handlers, AsyncDeviceServer):
    pass


class InThreads(Handlers, DeviceServer):
    pass


anywhere = pytest.mark.parametrize("place", [InLoop, InThreads])


@contextlib.asynccontextmanager
async def connected(server: Any, **kwargs: Any) -> AsyncIterator[aiokatcp.Client]:
    """Connect aiokatcp's client; it is connected when it has understood the greeting."""
    client = aiokatcp.Client(*server.bind_address, **kwargs)
    try:
        await asyncio.wait_for(client.wait_connected(), 10)
        yield client
    finally:
        client.close()
        await client.wait_closed()


def text_of(error: pytest.ExceptionInfo[Exception]) -> str:
    return str(error.value)


# -- greeting and requests ----------------------------------------------------------------


@anywhere
async def test_greeting(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        assert client.is_connected
        assert client.protocol_flags == {"B", "I", "M", "T"}
        assert await client.request("watchdog") == ([], [])
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "info",
    [ProtocolFlags(5, 1, "BIMT"), ProtocolFlags(5, 1, "BIM"), ProtocolFlags(5, 0, "IM")],
    ids=str,
)
async def test_greetings_of_other_versions(info: ProtocolFlags) -> None:
    class Other(InLoop):
        PROTOCOL_INFO = info

    async with serving(Other("127.0.0.1", 0)) as server, connected(server) as client:
        assert await client.request("add", 1, 2.0) == ([b"3.0"], [])


@anywhere
async def test_help(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        (count,), informs = await client.request("help")
        names = [inform.arguments[0].decode() for inform in informs]
        assert int(count) == len(informs)
        assert names == sorted(names)
        assert set(names) > set(AsyncDeviceServer._request_handlers) | {"add", "swap", "join"}
        _, (inform,) = await client.request("help", "add")
        assert inform.arguments[1].startswith(b"Add two numbers.")
        with pytest.raises(aiokatcp.FailReply) as error:
            await client.request("help", "nonesuch")
        assert "Unknown request" in text_of(error)


@anywhere
async def test_typed_requests(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        assert await client.request("add", 1, 2.25) == ([b"3.25"], [])
        assert await client.request("add", 1) == ([b"1.5"], [])
        flag, text = (await client.request("swap", "a b\n\0", True))[0]
        assert aiokatcp.decode(bool, flag) is True
        assert aiokatcp.decode(str, text) == "a b\n\0"
        (joined,), informs = await client.request("join", 2, "x", "y z")
        assert joined == b"x y zx y z"
        assert [inform.arguments for inform in informs] == [[b"part", b"x"], [b"part", b"y z"]]
        every_byte = bytes(range(256))
        assert await client.request("echo", every_byte, b"") == ([every_byte, b""], [])


@anywhere
async def test_failures(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        for name, arguments, text in (
            ("fail", (), "No can do: reason here."),
            ("boom", (), "RuntimeError: something broke"),
            ("add", ("one",), "Error in parameter 1 (x)"),
            ("add", (1, 2, 3), "Too many parameters given."),
            ("add", (), "Error in parameter 1 (x)"),
            ("swap", ("x", "maybe"), "Error in parameter 2 (flag)"),
            ("sensor-value", ("nope",), "Unknown sensor"),
            ("sensor-list", ("/(/",), "Invalid regular expression"),
            ("sensor-sampling", ("an.int", "sometimes"), "Unknown strategy"),
            ("log-level", ("loud",), "Unknown logging level name 'loud'"),
        ):
            with pytest.raises(aiokatcp.FailReply) as error:
                await client.request(name, *arguments)
            assert text in text_of(error)
        with pytest.raises(aiokatcp.InvalidReply) as invalid:
            await client.request("unknown-request")
        assert text_of(invalid) == "Unknown request."


@anywhere
async def test_many_requests_at_once_are_told_apart(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        results = await asyncio.gather(*[client.request("add", i, 0.0) for i in range(300)])
        assert [float(arguments[0]) for arguments, _ in results] == [float(i) for i in range(300)]


async def test_the_standard_requests() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        _, informs = await client.request("version-list")
        assert [inform.arguments[0] for inform in informs] == [
            b"katcp-protocol",
            b"katcp-library",
            b"katcp-device",
        ]
        (count,), (inform,) = await client.request("client-list")
        assert count == b"1"
        assert aiokatcp.decode(aiokatcp.Address, inform.arguments[0]).host.is_loopback
        assert await client.request("log-level", "info") == ([b"info"], [])
        assert await client.request("request-timeout-hint") == ([b"0"], [])
        assert await client.request("sensor-sampling-clear") == ([], [])
        with pytest.raises(aiokatcp.FailReply):
            await client.request("restart")


# -- sensors ------------------------------------------------------------------------------


@anywhere
async def test_sensor_list(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        (count,), informs = await client.request("sensor-list")
        assert int(count) == 7
        assert [inform.arguments for inform in informs] == [
            [b"a.bool", b"A switch.", b"", b"boolean"],
            [b"a.float", b"A number.", b"V", b"float"],
            [b"a.mode", b"A mode.", b"", b"discrete", b"on", b"off", b"stand-by"],
            [b"a.string", b"Text with spaces, and more.", b"", b"string"],
            [b"a.time", b"A time.", b"", b"timestamp"],
            [b"an.address", b"An address.", b"", b"address"],
            [b"an.int", b"A number.", b"count", b"integer", b"-5", b"5"],
        ]
        (count,), _ = await client.request("sensor-list", "/^an\\./")
        assert count == b"2"


@anywhere
async def test_sensor_values(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        when = 1767225600.25
        values = {
            "an.int": (-3, int, -3),
            "a.float": (1e-7, float, 1e-7),
            "a.bool": (True, bool, True),
            "a.mode": ("stand-by", bytes, b"stand-by"),
            "a.string": ("ä ö", str, "ä ö"),
            "a.time": (1764547200.5, aiokatcp.Timestamp, 1764547200.5),
            "an.address": (
                ("10.1.2.3", 7147),
                aiokatcp.Address,
                aiokatcp.decode(aiokatcp.Address, b"10.1.2.3:7147"),
            ),
        }
        for name, (value, kind, expected) in values.items():
            server.get_sensor(name).set_value(value, Sensor.WARN, when)
            reading = await client.sensor_reading(name, kind)
            assert reading.value == expected
            assert reading.status == Status.WARN
            assert reading.timestamp == when
            assert await client.sensor_value(name, kind) == expected
        # The type can be found out as well.
        assert await client.sensor_value("an.int") == -3
        with pytest.raises(aiokatcp.FailReply):
            await client.sensor_value("nope")


@pytest.mark.parametrize("status", list(Status), ids=lambda status: status.name)
async def test_statuses(status: Any) -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        server.get_sensor("an.int").set_value(4, getattr(Sensor, status.name))
        with contextlib.suppress(ValueError):
            # With a status that makes the value void, aiokatcp raises.
            assert (await client.sensor_reading("an.int", int)).status == status
        _, (inform,) = await client.request("sensor-value", "an.int")
        assert inform.arguments[3] == status.name.lower().encode()


# -- strategies ---------------------------------------------------------------------------


class Updates:
    """Takes note of `#sensor-status` informs, with the time when they came."""

    def __init__(self, client: aiokatcp.Client) -> None:
        self.seen: list[tuple[bytes, bytes, bytes]] = []
        self.times: list[float] = []
        client.add_inform_callback("sensor-status", self.take)

    def take(self, timestamp: aiokatcp.Timestamp, count: int, *rest: bytes) -> None:
        self.times.append(time.monotonic())
        for i in range(0, 3 * count, 3):
            name, status, value = rest[i : i + 3]
            self.seen.append((name, status, value))

    def values(self) -> list[bytes]:
        return [value for _, _, value in self.seen]


async def settle(client: aiokatcp.Client) -> None:
    """Wait until what was sent so far has arrived."""
    await asyncio.sleep(0.01)
    await client.request("watchdog")


@anywhere
async def test_event(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        sensor = server.get_sensor("an.int")
        arguments, _ = await client.request("sensor-sampling", "an.int", "event")
        assert arguments == [b"an.int", b"event"]
        assert updates.seen == [(b"an.int", b"unknown", b"0")]
        for value, status in ((1, "NOMINAL"), (1, "NOMINAL"), (1, "WARN"), (2, "WARN")):
            sensor.set_value(value, getattr(Sensor, status))
        await until(lambda: len(updates.seen) == 4)
        await settle(client)
        assert updates.seen[1:] == [
            (b"an.int", b"nominal", b"1"),
            (b"an.int", b"warn", b"1"),
            (b"an.int", b"warn", b"2"),
        ]


@anywhere
async def test_auto(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        await client.request("sensor-sampling", "a.string", "auto")
        for _ in range(3):
            server.get_sensor("a.string").set_value("same")
        await until(lambda: len(updates.seen) == 4)
        assert updates.values()[1:] == [b"same"] * 3


async def test_none() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        await client.request("sensor-sampling", "an.int", "event")
        arguments, _ = await client.request("sensor-sampling", "an.int", "none")
        assert arguments == [b"an.int", b"none"]
        server.get_sensor("an.int").set_value(3)
        await settle(client)
        assert updates.values() == [b"0"]
        assert (await client.request("sensor-sampling", "an.int"))[0] == [b"an.int", b"none"]


@anywhere
async def test_period(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        began = time.monotonic()
        arguments, _ = await client.request("sensor-sampling", "a.float", "period", 0.03)
        assert arguments == [b"a.float", b"period", b"0.03"]
        await until(lambda: len(updates.seen) >= 6)
        # On a grid: never before its time, however late the machine makes a tick.
        assert updates.times[5] - began >= 5 * 0.03 * 0.9
        server.get_sensor("a.float").set_value(2.5)
        await until(lambda: updates.values()[-1] == b"2.5")
        await client.request("sensor-sampling", "a.float", "none")
        count = len(updates.seen)
        await asyncio.sleep(0.07)
        assert len(updates.seen) == count


async def test_differential() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        sensor = server.get_sensor("a.float")
        sensor.set_value(1.0)
        await client.request("sensor-sampling", "a.float", "differential", 0.5)
        for value in (1.5, 1.51, 2.0, 2.01, 2.02):
            sensor.set_value(value)
        await settle(client)
        assert updates.values() == [b"1.0", b"1.51", b"2.02"]


@pytest.mark.slow
async def test_event_rate() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        sensor = server.get_sensor("an.int")
        arguments, _ = await client.request("sensor-sampling", "an.int", "event-rate", 0.1, 0.25)
        assert arguments == [b"an.int", b"event-rate", b"0.1", b"0.25"]
        for value in range(1, 6):
            sensor.set_value(value)
        await until(lambda: len(updates.seen) >= 2)
        assert updates.values()[:2] == [b"0", b"5"], "the burst is one update, of the last value"
        assert updates.times[1] - updates.times[0] >= 0.09
        await until(lambda: len(updates.seen) >= 4)
        assert updates.values()[:4] == [b"0", b"5", b"5", b"5"], "then it is repeated"
        assert updates.times[3] - updates.times[2] >= 0.24


async def test_differential_rate() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        sensor = server.get_sensor("a.float")
        await client.request("sensor-sampling", "a.float", "differential-rate", 1.0, 0.05, 1000)
        for value in (0.5, 1.0, 1.5, 3.0):
            sensor.set_value(value)
        await until(lambda: len(updates.seen) >= 2)
        await asyncio.sleep(0.06)
        sensor.set_value(3.5)
        await settle(client)
        assert updates.values() == [b"0.0", b"3.0"]


@anywhere
async def test_bulk_sampling(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        updates = Updates(client)
        arguments, _ = await client.request("sensor-sampling", "an.int,a.mode,a.bool", "event")
        assert arguments == [b"an.int,a.mode,a.bool", b"event"]
        assert [name for name, _, _ in updates.seen] == [b"an.int", b"a.mode", b"a.bool"]
        server.get_sensor("a.mode").set_value("off")
        await until(lambda: len(updates.seen) == 4)
        assert updates.seen[3] == (b"a.mode", b"nominal", b"off")
        with pytest.raises(aiokatcp.FailReply) as error:
            await client.request("sensor-sampling", "an.int,nope", "period", 1.0)
        assert text_of(error) == "Unknown sensor names: nope."
        assert (await client.request("sensor-sampling", "an.int"))[0] == [b"an.int", b"event"]


# -- the watcher --------------------------------------------------------------------------


@anywhere
async def test_a_watcher_mirrors_all_sensors(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        watcher = aiokatcp.SensorWatcher(client)
        client.add_sensor_watcher(watcher)
        await asyncio.wait_for(watcher.synced.wait(), 10)
        assert sorted(watcher.sensors) == [s.name for s in server.sorted_sensors()]
        assert watcher.sensors["an.int"].units == "count"
        assert watcher.sensors["a.string"].value == b"\xc3\xbcber alles"
        server.get_sensor("an.int").set_value(-2, Sensor.ERROR, 1234.5)
        await until(lambda: watcher.sensors["an.int"].value == -2)
        assert watcher.sensors["an.int"].status == Status.ERROR
        assert watcher.sensors["an.int"].timestamp == 1234.5


@pytest.mark.slow
@anywhere
async def test_a_watcher_sees_the_interface_change(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, connected(server) as client:
        watcher = aiokatcp.SensorWatcher(client)
        client.add_sensor_watcher(watcher)
        await asyncio.wait_for(watcher.synced.wait(), 10)
        new = Sensor.integer("new.sensor", "Came later.", default=7)
        server.add_sensor(new)
        await until(lambda: "new.sensor" in watcher.sensors)
        await until(lambda: new._notified)  # it is sampled like the others
        new.set_value(8)
        await until(lambda: watcher.sensors["new.sensor"].value == 8)
        server.add_sensor(Sensor.string("new.sensor", "Another type.", default="text"))
        await until(lambda: watcher.sensors["new.sensor"].stype is bytes)
        server.remove_sensor("new.sensor")
        await until(lambda: "new.sensor" not in watcher.sensors)
        for i in range(30):
            server.add_sensor(Sensor.integer(f"many.{i}", "One of many."))
        await until(lambda: len(watcher.sensors) == 37)


async def test_informs_of_each_form_arrive() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        seen: list[tuple[bytes, ...]] = []
        client.add_inform_callback("interface-changed", lambda *arguments: seen.append(arguments))
        server.add_sensor(Sensor.integer("x", "New."))
        await until(lambda: len(seen) == 1)
        server.add_sensor(Sensor.integer("y", "New."))
        server.remove_sensor("x")
        await until(lambda: len(seen) == 2)
        assert seen == [(b"sensor", b"x", b"added"), (b"sensor-list",)]


# -- other informs, and the end -----------------------------------------------------------


async def test_log_informs() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        seen: list[tuple[Any, ...]] = []

        def take(level: str, when: aiokatcp.Timestamp, name: str, text: str) -> None:
            seen.append((level, float(when), name, text))

        client.add_inform_callback("log", take)
        server.log.warning("a %s", "warning", timestamp=1234.5, name="my.part")
        await until(lambda: seen)
        assert seen == [("warn", 1234.5, "my.part", "a warning")]


async def test_newcomers_are_announced() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, connected(server) as client:
        seen: list[aiokatcp.Address] = []

        def take(address: aiokatcp.Address) -> None:
            seen.append(address)

        client.add_inform_callback("client-connected", take)
        async with connected(server) as other:
            await until(lambda: seen)
            _, informs = await other.request("client-list")
            addresses = [aiokatcp.decode(aiokatcp.Address, i.arguments[0]) for i in informs]
            assert seen[0] in addresses


async def test_halt() -> None:
    server = InLoop("127.0.0.1", 0)
    server.start()
    async with connected(server, auto_reconnect=False) as client:
        reasons: list[str] = []

        def take(reason: str) -> None:
            reasons.append(reason)

        client.add_inform_callback("disconnect", take)
        waiting = asyncio.ensure_future(client.request("wait", "for ever"))
        await until(lambda: server.begun)
        async with connected(server, auto_reconnect=False) as other:
            assert await other.request("halt") == ([], [])
            await asyncio.wait_for(other.wait_disconnected(), 10)
        with pytest.raises(aiokatcp.FailReply, match="request_cancelled"):
            await waiting
        await asyncio.wait_for(client.wait_disconnected(), 10)
        assert not client.is_connected
    await server.stop()
    assert not server.running()


@pytest.mark.slow
@anywhere
async def test_a_client_comes_back_after_a_restart(place: Any) -> None:
    server = place("127.0.0.1", 0)
    async with serving(server), connected(server) as client:
        watcher = aiokatcp.SensorWatcher(client)
        client.add_sensor_watcher(watcher)
        await asyncio.wait_for(watcher.synced.wait(), 10)
        await asyncio.wait_for(server.stop(), 10)
        await asyncio.wait_for(client.wait_disconnected(), 10)
        await until(lambda: watcher.sensors["an.int"].status == Status.UNREACHABLE)
        server.join(10)
        server.start(timeout=10)
        await asyncio.wait_for(client.wait_connected(), 10)
        await asyncio.wait_for(watcher.synced.wait(), 10)
        server.get_sensor("an.int").set_value(4)
        await until(lambda: watcher.sensors["an.int"].value == 4)
