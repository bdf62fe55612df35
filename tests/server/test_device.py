"""A device: what it is, its sensors, its requests, its greeting."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from katcp import __version__
from katcp.kattypes import minimum_katcp_version
from katcp.protocol import Message, ProtocolFlags
from katcp.server import (
    BASE_REQUESTS,
    AsyncDeviceServer,
    AsyncReply,
    DeviceServer,
    FailReply,
    InvalidReply,
    Sensor,
)
from tests.helpers.serving import Bare, BareThreaded, serving, talking, until


class Instrument(AsyncDeviceServer):
    VERSION_INFO = ("inst-api", 2, 1)
    BUILD_INFO = ("inst-build", 3, 4, "rc1")
    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.float("b.volts", "Volts.", "V", [0, 5]))
        self.add_sensor(Sensor.integer("a.count", "Count."))
        self.add_sensor(Sensor.discrete("c.mode", "Mode.", params=["on", "off"]))


# -- what it is ---------------------------------------------------------------------------


async def test_the_greeting_of_version_5() -> None:
    async with serving(Instrument("127.0.0.1", 0)) as server, talking(server, greeting=0) as client:
        assert await client.lines(3) == [
            b"#version-connect katcp-protocol 5.1-BIMT",
            b"#version-connect katcp-library katcp-python-" + __version__.encode(),
            b"#version-connect katcp-device inst-api-2.1 inst-build-3.4rc1",
        ]
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_the_greeting_of_version_4() -> None:
    class Old(Instrument):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "M")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server, greeting=0) as client:
        assert await client.lines(2) == [
            b"#version inst-api-2.1",
            b"#build-state inst-build-3.4rc1",
        ]
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


@pytest.mark.parametrize(
    ("flags", "text"), [("", b"5.0"), ("I", b"5.0-I"), (["M", "I"], b"5.0-IM")]
)
async def test_the_greeting_says_what_there_is(flags: Any, text: bytes) -> None:
    class Other(Instrument):
        PROTOCOL_INFO = ProtocolFlags(5, 0, flags)

    async with serving(Other("127.0.0.1", 0)) as server, talking(server, greeting=0) as client:
        assert await client.line() == b"#version-connect katcp-protocol " + text


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (("name", 0, 1, ""), "name-0.1"),
        (("name", 0, 1), "name-0.1"),
        (("name", 10, 2, "rc3"), "name-10.2rc3"),
    ],
)
def test_build_state(info: tuple[Any, ...], text: str) -> None:
    class Device(Bare):
        BUILD_INFO = info

    assert Device("127.0.0.1", 0).build_state() == text


def test_the_defaults() -> None:
    server = BareThreaded("127.0.0.1", 0)
    assert server.version() == "device_stub-0.1"
    assert server.build_state() == "name-0.1"
    assert str(server.PROTOCOL_INFO) == "5.1-BIMT"


def test_a_protocol_that_nobody_speaks() -> None:
    class Future(Bare):
        PROTOCOL_INFO = ProtocolFlags(7, 0, "")

    with pytest.raises(ValueError, match="Protocol version 7 is not supported"):
        Future("127.0.0.1", 0)


def test_a_device_has_to_say_what_sensors_it_has() -> None:
    with pytest.raises(NotImplementedError, match="setup_sensors"):
        DeviceServer("127.0.0.1", 0)


def test_base_requests() -> None:
    assert {
        "help",
        "halt",
        "restart",
        "watchdog",
        "version-list",
        "client-list",
        "log-level",
        "sensor-list",
        "sensor-value",
        "sensor-sampling",
        "sensor-sampling-clear",
        "request-timeout-hint",
        # Not requests of every device, but left out by tests that look for a device's own.
        "new-command",
        "raise-exception",
        "raise-fail",
    } == BASE_REQUESTS
    assert issubclass(InvalidReply, FailReply)
    assert issubclass(AsyncReply, Exception)


# -- requests by version ------------------------------------------------------------------


async def test_handlers_of_later_versions_do_not_exist_before() -> None:
    class Device(Instrument):
        PROTOCOL_INFO = ProtocolFlags(5, 0, "M")

        @minimum_katcp_version(5, 1)
        def request_newer(self, req: Any, msg: Message) -> Any:
            """Exist from 5.1 on."""
            return ("ok",)

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        for name in (b"newer", b"request-timeout-hint"):
            assert await client.ask(b"?" + name) == [b"!" + name + b" invalid Unknown\\_request."]
        # Ids are answered though they are not announced.
        assert await client.ask(b"?version-list[3]") != []
        assert b"help" in (await client.ask(b"?help[3]"))[-1]

    class Old(Instrument):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?version-list") == [b"!version-list invalid Unknown\\_request."]


# -- sensors ------------------------------------------------------------------------------


def test_sensors_by_name() -> None:
    server = Instrument("127.0.0.1", 0)
    assert [s.name for s in server.get_sensors()] == ["b.volts", "a.count", "c.mode"]
    assert [s.name for s in server.sorted_sensors()] == ["a.count", "b.volts", "c.mode"]
    assert server.has_sensor("a.count")
    assert not server.has_sensor("a")
    assert server.get_sensor("a.count").stype == "integer"
    for wrong in (server.get_sensor, server.remove_sensor):
        with pytest.raises(ValueError, match="Unknown sensor 'nope'"):
            wrong("nope")
    server.remove_sensor("a.count")
    server.remove_sensor(server.get_sensor("b.volts"))
    assert [s.name for s in server.sorted_sensors()] == ["c.mode"]
    server.add_sensor(Sensor.string("c.mode", "Now a text."))
    assert [s.stype for s in server.sorted_sensors()] == ["string"]


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a\tb", "a\nb", "a\0b", "\x7f"])
def test_a_name_that_could_not_be_asked_for_is_refused(name: str) -> None:
    server = Bare("127.0.0.1", 0)
    with pytest.raises(ValueError, match="Sensor name"):
        server.add_sensor(Sensor.integer(name, "A number."))
    assert server.get_sensors() == []


@pytest.mark.parametrize("name", ["a/b", "a:b", "grüße"])
async def test_an_odd_name_is_warned_of_and_works(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Bare("127.0.0.1", 0)
    server.add_sensor(Sensor.integer(name, "A number."))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    async with serving(server), talking(server) as client:
        lines = await client.ask(b"?sensor-value " + name.encode())
        assert lines[-1] == b"!sensor-value ok 1"


async def test_a_replaced_sensor_loses_its_strategies() -> None:
    async with serving(Instrument("127.0.0.1", 0)) as server, talking(server) as client:
        old = server.get_sensor("a.count")
        for strategy in (b"event", b"period 0.05", b"event-rate 0.01 0.05", b"auto"):
            await client.ask(b"?sensor-sampling a.count " + strategy)
        new = Sensor.integer("a.count", "Another count.")
        server.add_sensor(new)
        assert not old._notified
        old.set_value(5)
        new.set_value(6)
        assert await client.line() == b"#interface-changed sensor a.count modified"
        assert await client.ask(b"?sensor-sampling a.count") == [
            b"!sensor-sampling ok a.count none"
        ]
        lines = await client.ask(b"?sensor-list a.count")
        assert lines[0] == b"#sensor-list a.count Another\\_count. \\@ integer"


async def test_a_removed_sensor_is_not_reported_any_more() -> None:
    async with serving(Instrument("127.0.0.1", 0)) as server, talking(server) as client:
        for strategy in (b"event", b"period 0.01"):
            await client.ask(b"?sensor-sampling-clear")
            while not (await client.ask(b"?sensor-sampling a.count " + strategy)):
                pass
            sensor = server.get_sensor("a.count")
            server.remove_sensor(sensor)
            sensor.set_value(5)
            await until(lambda: not server._sampling.sampled())
            server.add_sensor(sensor)
        await asyncio.sleep(0.15)
        await client.send(b"?watchdog")
        lines = await client.until_reply()
        assert not [line for line in lines if b" nominal 5" in line]


# -- sensors set in other threads ---------------------------------------------------------


class Threaded(DeviceServer):
    announces_clients = False

    def setup_sensors(self) -> None:
        for i in range(8):
            self.add_sensor(Sensor.integer(f"s{i}", "A number."))
        self.add_sensor(Sensor.string("text", "A text."))


async def test_sensors_may_be_set_in_any_thread() -> None:
    async with serving(Threaded("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?sensor-sampling text event")

        def work() -> None:
            for i in range(200):
                server.get_sensor("text").set_value(f"value-{i}")

        thread = threading.Thread(target=work)
        thread.start()
        # One thread that sets a sensor: every update arrives, in its order.
        for i in range(200):
            assert (await client.line()).endswith(b" text nominal value-%d" % i)
        thread.join()


@pytest.mark.parametrize("strategy", [b"event", b"auto", b"differential 0", b"event-rate 0 1000"])
async def test_sixteen_threads_set_sensors_and_the_last_value_wins(strategy: bytes) -> None:
    names = [f"s{i}" for i in range(8)]
    async with serving(Threaded("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(
            b"?sensor-sampling " + b",".join(n.encode() for n in names) + b" " + strategy
        )
        go = threading.Event()

        def work(who: int) -> None:
            go.wait()
            for i in range(100):
                for name in names[who % 4 :: 4]:
                    server.get_sensor(name).set_value(who * 1000 + i)

        threads = [threading.Thread(target=work, args=(who,)) for who in range(16)]
        for thread in threads:
            thread.start()
        go.set()
        last: dict[str, int] = {}

        def final() -> bool:
            return all(last.get(name) == server.get_sensor(name).value() for name in names)

        deadline = time.monotonic() + 20
        while any(thread.is_alive() for thread in threads) or not final():
            assert time.monotonic() < deadline, (
                last,
                [server.get_sensor(n).value() for n in names],
            )
            try:
                words = (await client.line(timeout=0.2)).split(b" ")
            except asyncio.TimeoutError:
                continue
            last[words[3].decode()] = int(words[5])
        for thread in threads:
            thread.join()


async def test_a_value_set_while_a_strategy_begins_is_not_missed() -> None:
    async with serving(Threaded("127.0.0.1", 0)) as server, talking(server) as client:
        sensor = server.get_sensor("s0")
        stop = threading.Event()
        sensor.set_value(0)

        def work() -> None:
            value = 0
            while not stop.is_set():
                value += 1
                sensor.set_value(value)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(30):
                await client.send(b"?sensor-sampling s0 event")
                while not (await client.line()).startswith(b"!"):
                    pass
                await client.send(b"?sensor-sampling s0 none")
                while not (await client.line()).startswith(b"!"):
                    pass
            await client.send(b"?sensor-sampling s0 event")
        finally:
            stop.set()
            thread.join()
        last = b""
        while last != b"%d" % sensor.value():
            line = await client.line()
            if line.startswith(b"#sensor-status"):
                last = line.split(b" ")[5]


# -- requests that come and go ------------------------------------------------------------


async def test_requests_may_be_added_and_removed() -> None:
    class Helper:
        def __init__(self) -> None:
            self.calls = 0

        def plain(self, req: Any, msg: Message) -> Any:
            """Answer for the device."""
            self.calls += 1
            return req.make_reply("ok", *msg.arguments)

        async def typed(self, req: Any, x: int) -> int:
            """Double."""
            return 2 * x

    helper = Helper()
    async with (
        serving(Instrument("127.0.0.1", 0)) as server,
        serving(Instrument("127.0.0.1", 0)) as other,
        talking(server) as client,
        talking(other) as elsewhere,
    ):
        server.add_request("plain", helper.plain)
        server.add_request("typed-one", helper.typed)
        assert (await client.line()).startswith(b"#interface-changed request")
        assert await client.ask(b"?plain[1] a") == [b"!plain[1] ok a"]
        assert await client.ask(b"?typed-one[2] 21") == [b"!typed-one[2] ok 42"]
        assert (await client.ask(b"?help typed-one"))[0].startswith(b"#help typed-one Double.")
        assert helper.calls == 1
        assert await elsewhere.ask(b"?plain") == [b"!plain invalid Unknown\\_request."]
        server.remove_request("plain")
        assert await client.ask(b"?plain") == [b"!plain invalid Unknown\\_request."]
        with pytest.raises(ValueError, match="Unknown request 'plain'"):
            server.remove_request("plain")


@pytest.mark.parametrize("name", ["", "9x", "a_b", "a b", "ä"])
def test_a_request_needs_a_good_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a request"):
        Bare("127.0.0.1", 0).add_request(name, test_a_request_needs_a_docstring)


def test_a_request_needs_a_docstring() -> None:
    def handler(req: Any, msg: Message) -> Any:
        return ("ok",)

    with pytest.raises(ValueError, match="no docstring"):
        Bare("127.0.0.1", 0).add_request("x", handler)


async def test_added_handlers_run_where_others_do() -> None:
    def where(req: Any, msg: Message) -> Any:
        """Tell the thread."""
        return ("ok", threading.current_thread().name)

    async def where_async(req: Any, msg: Message) -> Any:
        """Tell the thread."""
        return ("ok", threading.current_thread().name)

    server = BareThreaded("127.0.0.1", 0)
    server.add_request("where", where)
    server.add_request("where-async", where_async)
    async with serving(server), talking(server) as client:
        assert (await client.ask(b"?where"))[0].startswith(b"!where ok katcp-handlers")
        assert (await client.ask(b"?where-async"))[0].startswith(b"!where-async ok ioloop-")


# -- clients ------------------------------------------------------------------------------


async def test_clear_strategies() -> None:
    async with serving(Instrument("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?sensor-sampling a.count,b.volts event")
        (connection,) = server._server.connections
        server.clear_strategies(connection)
        server.get_sensor("a.count").set_value(3)
        assert await client.ask(b"?sensor-sampling a.count") == [
            b"!sensor-sampling ok a.count none"
        ]
    server.clear_strategies(connection, remove_client=True)


async def test_strategies_end_with_the_connection() -> None:
    async with serving(Instrument("127.0.0.1", 0)) as server:
        for strategy in (b"event", b"auto", b"period 1", b"differential 1", b"event-rate 1 1000"):
            async with talking(server) as client:
                await client.ask(b"?sensor-sampling a.count,b.volts " + strategy)
                assert server._sampling._clients
            await until(lambda: not server._sampling._clients)
            assert not server._sampling.sampled()
            assert not server.get_sensor("a.count")._notified
