"""Known defects of katcp-python 0.9.3 in its core and server, and that they are not ours.

The numbers are those of the list of warts. W1 to W7 are tested with their rooms, in
``tests/protocol``; those that show in a recording are replayed too, in ``test_transcripts``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from typing import Any

import pytest
from tornado import gen
from tornado.concurrent import Future
from tornado.ioloop import IOLoop

from katcp.aio import AsyncCallbackEvent, AsyncEvent, AsyncState
from katcp.errors import FailReply
from katcp.kattypes import (
    Bool,
    Float,
    Int,
    Parameter,
    Regex,
    Str,
    request,
    return_reply,
    unpack_message,
)
from katcp.protocol import Message, MessageParser, ProtocolFlags
from katcp.sensors import Reading, Sensor
from katcp.server import AsyncDeviceServer, DeviceServer
from tests.helpers.demo_device import MODES, V4, V50, V51, device_class
from tests.helpers.serving import serving, talking, until

parse = MessageParser().parse


@pytest.fixture(params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def device_of(mode: str, mixin: type, protocol: ProtocolFlags = V51, **kwargs: Any) -> Any:
    """Make the demo device with more requests."""
    demo = device_class(protocol, mode)
    return type(demo)("Demo", (mixin, demo), {})("127.0.0.1", 0, **kwargs)


# -- helpers and types ---------------------------------------------------------------------


async def test_w8_clearing_a_callback_event_says_so() -> None:
    told: list[bool] = []
    event = AsyncCallbackEvent(told.append)
    event.set()
    event.clear()
    assert told == [True, False]


async def test_w9_a_timeout_of_0_does_not_wait() -> None:
    with pytest.raises(gen.TimeoutError):
        await AsyncEvent().until_set(timeout=0)
    with pytest.raises(gen.TimeoutError):
        await AsyncState(["a", "b"]).until_state("b", timeout=0)


def test_w10_an_observer_that_raises_does_not_reach_the_setter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def update(self, sensor: Sensor, reading: Reading) -> None:
            raise RuntimeError("out of order")

    sensor = Sensor.integer("i")
    sensor.attach(Broken())
    sensor.set_value(1)
    assert sensor.value() == 1
    assert "out of order" in caplog.text


async def test_w11_one_bad_sensor_does_not_spoil_the_others(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    with pytest.raises(TypeError):
        device.get_sensor("demo.int").set_value("three")
    device.get_sensor("demo.int").set(1.0, Sensor.NOMINAL, "three")  # checks nothing
    async with serving(device), talking(device) as client:
        *informs, reply = await client.ask(b"?sensor-value")
        assert reply == b"!sensor-value ok 15"
        (bad,) = [line for line in informs if b" demo.int " in line]
        assert bad.split(b" ")[3:] == [b"demo.int", b"failure", b"0"]


def test_w12_words_of_a_discrete_sensor_are_checked() -> None:
    with pytest.raises(ValueError):
        Sensor.discrete("d", params=[])
    with pytest.raises(ValueError):
        Sensor.discrete("d", params=["a"], default="b")


def test_w14_parameters_are_checked_when_packed() -> None:
    parameter = Parameter(1, "n", Int(max=5), 5)
    assert parameter.pack(5) == b"5"
    with pytest.raises(ValueError, match="higher than maximum"):
        parameter.pack(6)


def test_w15_unpack_message_renames_nothing() -> None:
    import functools

    @unpack_message(Int())
    def handler(self: Any, number: int) -> None:
        """Take a number."""

    assert handler.__name__ == "handler"
    assert functools.update_wrapper.__name__ == "update_wrapper"


def test_w16_texts_of_errors_are_kept() -> None:
    with pytest.raises(ValueError) as caught:
        Int().unpack(b"x")
    assert str(caught.value) == "Could not parse value 'b'x'' as integer."


@pytest.mark.parametrize("raw", [b"1_000", b" 1", b"1 ", b"\xd9\xa1", b"0x10"])
def test_w17_numbers_are_decimal(raw: bytes) -> None:
    for kattype in (Int(), Float()):
        with pytest.raises(ValueError, match="Could not parse value"):
            kattype.unpack(raw)


def test_w18_a_regex_matches_a_beginning() -> None:
    assert Regex("[0-9]+").unpack(b"12x") == "12x"
    with pytest.raises(ValueError):
        Regex("[0-9]+$").unpack(b"12x")


class Replies:
    @request()
    @return_reply()
    def request_bare_fail(self, req: Any) -> Any:
        """Fail without a text."""
        return ("fail",)

    @request()
    @return_reply(Int())
    def request_bytes(self, req: Any) -> Any:
        """Say ok in bytes."""
        return (b"ok", 3)

    @request()
    @return_reply()
    def request_invalid(self, req: Any) -> Any:
        """Call it invalid."""
        return ("invalid", "Not like that.")

    @request(Bool())
    @return_reply(Int())
    def request_ready(self, req: Any, good: bool) -> Any:
        """Return a ready message."""
        return req.make_reply("ok", 7) if good else Message.reply("ready", "fail", "Not today.")

    @request(Str(), Float(multiple=True))
    @return_reply()
    def request_sum(self, req: Any, label: str, *numbers: float) -> Any:
        """Take many."""
        return ("ok",)


async def test_w19_w20_w21_what_handlers_may_return(mode: str) -> None:
    device = device_of(mode, Replies, tb_limit=0)
    async with serving(device), talking(device) as client:
        (reply,) = await client.ask(b"?bare-fail")
        assert parse(reply).arguments[0] == b"fail"
        assert b"Traceback" not in reply
        assert await client.ask(b"?bytes") == [b"!bytes ok 3"]
        assert await client.ask(b"?invalid") == [b"!invalid invalid Not\\_like\\_that."]
        assert await client.ask(b"?ready[5] 1") == [b"!ready[5] ok 7"]
        assert await client.ask(b"?ready[5] 0") == [b"!ready[5] fail Not\\_today."]
        (reply,) = await client.ask(b"?sum label 1 x")
        assert reply.startswith(b"!sum fail Error\\_in\\_parameter\\_3\\_(numbers):\\_")


# -- bytes, crowds, mistakes ---------------------------------------------------------------


async def test_w22_bytes_that_are_no_utf_8_are_handled_like_any(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for _ in range(3):
            assert await client.ask(b"?echo caf\xe9") == [b"!echo ok caf\xe9"]
        async with talking(device) as other:
            assert await other.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_w23_requests_wait_and_are_not_lost(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        await client.send(b"?nap[1] 0.1", *[b"?echo[%d]" % n for n in range(2, 3000)])
        assert await client.line() == b"#nap[1] napping"
        assert await client.line() == b"!nap[1] ok rested"
        replies = await client.lines(2998)
        assert replies == [b"!echo[%d] ok" % n for n in range(2, 3000)]


@pytest.mark.parametrize("protocol", [V50, V51], ids=["single", "bulk"])
async def test_w24_w29_mistakes_read_the_same_and_name_no_files(
    mode: str, protocol: ProtocolFlags
) -> None:
    device = device_class(protocol, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for asked, text in [
            (b"nope", b"Unknown\\_sensor\\_name:\\_nope."),
            (b"nope event", b"Unknown\\_sensor\\_name:\\_nope."),
            (b"demo.int nope", b"Unknown\\_strategy\\_name:\\_nope."),
            (b"demo.int period", b"The\\_'period'\\_strategy\\_takes\\_one\\_parameter."),
            (b"demo.int event 1", b"The\\_'event'\\_strategy\\_takes\\_no\\_parameters."),
        ]:
            assert await client.ask(b"?sensor-sampling " + asked) == [
                b"!sensor-sampling fail " + text
            ]


async def test_w25_a_bad_pattern_is_refused_and_a_slash_is_a_name(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for name in (b"sensor-list", b"sensor-value"):
            (reply,) = await client.ask(b"?" + name + b" /[/")
            assert reply.startswith(b"!" + name + b" fail Invalid\\_regular\\_expression:\\_")
            assert await client.ask(b"?" + name + b" /") == [
                b"!" + name + b" fail Unknown\\_sensor\\_name."
            ]


async def test_w26_all_and_off_are_levels_like_others(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for level in (b"all", b"off", b"trace", b"fatal"):
            assert await client.ask(b"?log-level " + level) == [b"!log-level ok " + level]
            assert await client.ask(b"?log-level") == [b"!log-level ok " + level]
        device.log.log(device.log.ALL, "not sent at fatal")
        device.log.log(device.log.OFF, "sent at any level")
        assert (await client.line()).split(b" ")[1] == b"off"
    for level in device.log.LEVELS:
        device.log.log_to_python(
            logging.getLogger("test.w26"), Message.inform("log", level, "1.0", "root", "text")
        )


async def test_w27_the_levels_of_python_loggers_are_left_alone(mode: str) -> None:
    logger = logging.getLogger("katcp.server")
    before = logger.level
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for level in (b"trace", b"off"):
            await client.ask(b"?log-level " + level)
            assert logger.level == before


async def test_w28_help_says_the_same_in_both_forms(mode: str) -> None:
    class Documented:
        def request_documented(self, req: Any, msg: Message) -> Message:
            """First line.

            More,
                indented.
            """
            reply: Message = req.make_reply("ok")
            return reply

    device = device_of(mode, Documented)
    async with serving(device), talking(device) as client:
        *listed, _ = await client.ask(b"?help")
        for line in listed:
            name = line.split(b" ")[1]
            assert (await client.ask(b"?help " + name))[0] == line
        (text,) = [parse(line).arguments[1] for line in listed if b" documented " in line]
        assert text == b"First line.\n\nMore,\n    indented."


async def test_w30_ids_are_echoed_whatever_they_are(mode: str) -> None:
    device = device_class(V4, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for mid in (b"0", b"12", b"007", b"2147483648"):
            assert await client.ask(b"?watchdog[" + mid + b"]") == [b"!watchdog[" + mid + b"] ok"]


async def test_w31_version_4_thresholds_of_times_and_short_periods(mode: str) -> None:
    device = device_class(V4, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        sensor = device.get_sensor("demo.time")
        sensor.set_value(100.0, timestamp=1)
        await client.ask(b"?sensor-sampling demo.time differential 500")
        sensor.set_value(100.5, timestamp=2)
        sensor.set_value(100.6, timestamp=3)
        assert await client.line() == b"#sensor-status 3000 1 demo.time nominal 100600"
        assert (await client.ask(b"?sensor-sampling demo.int period 1.5"))[-1] == (
            b"!sensor-sampling ok demo.int period 1.5"
        )


async def test_w32_nothing_floods(mode: str) -> None:
    device = device_class(V51, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        for strategy in (
            b"event-rate 0 0",
            b"period 0.0001",
            b"period 1e-9",
            b"differential-rate -1 0 1",
        ):
            (reply,) = await client.ask(b"?sensor-sampling demo.int " + strategy)
            assert reply.startswith(b"!sensor-sampling fail ")
    slow = device_class(V51, mode)("127.0.0.1", 0, period_floor=2.0)
    async with serving(slow), talking(slow) as client:
        (reply,) = await client.ask(b"?sensor-sampling demo.int period 1")
        assert reply == (b"!sensor-sampling fail The\\_period\\_must\\_be\\_at\\_least\\_2\\_s.")


async def test_w33_a_replaced_sensor_takes_no_strategies_along(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), talking(device) as client:
        old = device.get_sensor("demo.int")
        await client.ask(b"?sensor-sampling demo.int event")
        device.add_sensor(Sensor.integer("demo.int"))
        assert await client.line() == b"#interface-changed sensor demo.int modified"
        assert await client.ask(b"?sensor-sampling demo.int") == [
            b"!sensor-sampling ok demo.int none"
        ]
        old.set_value(9)
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
        assert old._observers == set()


async def test_w34_unknown_informs_and_failing_inform_handlers_are_invisible(mode: str) -> None:
    class Failing:
        def inform_bad(self, conn: Any, msg: Message) -> None:
            """Fail."""
            raise RuntimeError("out of order")

    device = device_of(mode, Failing)
    async with serving(device), talking(device) as client:
        await client.send(b"#unknown-inform x", b"#bad", b"?watchdog")
        assert await client.line() == b"!watchdog ok"


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_w35_a_client_that_cannot_be_served_is_told_in_four_words(
    mode: str, kind: str
) -> None:
    class Full:
        def on_client_connect(self, conn: Any) -> Any:
            """Refuse."""
            if kind == "plain":
                raise RuntimeError("no room")
            return self.refuse()

        async def refuse(self) -> None:
            await asyncio.sleep(0)
            raise RuntimeError("no room")

    device = device_of(mode, Full)
    async with serving(device):
        reader, writer = await asyncio.open_connection(*device.bind_address)
        inform = parse((await reader.readline())[:-1])
        assert inform.name == "log"
        level, when, name, text = inform.arguments
        assert (level, name) == (b"error", b"root")
        assert float(when) == pytest.approx(time.time(), abs=60)
        assert text.endswith(b"no room")
        assert b"Traceback" not in text
        assert await reader.read() == b""
        writer.close()


async def test_w36_no_empty_line_follows_a_disconnect(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device):
        reader, writer = await asyncio.open_connection(*device.bind_address)
        for _ in range(3):
            await reader.readline()
        await device.stop()
        assert await reader.read() == b"#disconnect Device\\_server\\_shutting\\_down.\n"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("host", ["", "127.0.0.1", "localhost"])
async def test_w37_both_families_are_listened_on(mode: str, host: str) -> None:
    device = device_class(V50, mode)(host, 0)
    async with serving(device):
        addresses = ["127.0.0.1"]
        if host == "" and socket.has_ipv6:
            addresses.append("::1")
        for address in addresses:
            reader, writer = await asyncio.open_connection(address, device.bind_address[1])
            assert (await reader.readline()).startswith(b"#version-connect katcp-protocol")
            writer.close()
            await writer.wait_closed()
    if host == "" and socket.has_ipv6:
        assert addresses == ["127.0.0.1", "::1"]


async def test_w37_ipv6_clients_are_listed_in_brackets() -> None:
    device = device_class(V50, "async")("::1", 0)
    async with serving(device):
        reader, writer = await asyncio.open_connection("::1", device.bind_address[1])
        port = writer.get_extra_info("sockname")[1]
        writer.write(b"?client-list\n")
        lines = [await reader.readline() for _ in range(5)]
        assert lines[3:] == [b"#client-list [::1]:%d\n" % port, b"!client-list ok 1\n"]
        writer.close()
        await writer.wait_closed()


async def test_w37_many_clients_may_come_at_once(mode: str) -> None:
    device = device_class(V50, mode)("127.0.0.1", 0)
    async with serving(device), contextlib.AsyncExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(200)]
        for one in sockets:  # a backlog of 5 would keep most of them waiting for seconds
            one.connect(device.bind_address)
        await until(lambda: len(device._client_conns) == 200)


def test_w38_sensors_can_be_removed_at_any_time() -> None:
    device = device_class(V50)("127.0.0.1", 0)
    device.remove_sensor("demo.int")
    device.remove_sensor(device.get_sensor("demo.float"))
    assert not device.has_sensor("demo.int")
    assert not device.has_sensor("demo.float")
    with pytest.raises(ValueError, match=r"^Unknown sensor 'demo.int'\.$"):
        device.remove_sensor("demo.int")
    with pytest.raises(ValueError, match=r"^Unknown sensor 'demo.int'\.$"):
        device.get_sensor("demo.int")


async def test_w39_the_fourth_part_of_the_build_may_be_missing(mode: str) -> None:
    demo = device_class(V50, mode)

    class Short(demo):  # type: ignore[misc, valid-type]  # a class that was made
        BUILD_INFO = ("short-build", 1, 2)

    device = Short("127.0.0.1", 0)
    assert device.build_state() == "short-build-1.2"
    async with serving(device), talking(device) as client:
        lines = await client.ask(b"?version-list")
        assert lines[2] == b"#version-list katcp-device demo-api-2.1 short-build-1.2"


class Coroutines:
    """Handlers that make futures in the ways that users do."""

    ioloop: Any

    @request()
    @return_reply(Bool())
    @gen.coroutine
    def request_generator(self, req: Any) -> Any:
        """Wait as a generator."""
        yield gen.sleep(0.01)
        raise gen.Return(("ok", IOLoop.current() is self.ioloop))

    @request()
    @return_reply(Bool())
    async def request_native(self, req: Any) -> Any:
        """Wait as a coroutine."""
        await asyncio.sleep(0.01)
        return ("ok", IOLoop.current() is self.ioloop)

    @request()
    @return_reply(Str())
    @gen.coroutine
    def request_made_here(self, req: Any) -> Any:
        """Wait for a future that a thread resolves in the loop."""
        future: Any = Future()
        loop = self.ioloop
        threading.Thread(
            target=lambda: loop.add_callback(future.set_result, "from a thread")
        ).start()
        result = yield future
        raise gen.Return(("ok", result))

    @gen.coroutine
    def request_undecorated(self, req: Any, msg: Message) -> Any:
        """Wait without types."""
        yield gen.moment
        raise FailReply("after a moment")


async def test_w40_futures_of_coroutine_handlers_live_on_the_servers_loop(mode: str) -> None:
    device = device_of(mode, Coroutines)
    async with serving(device), talking(device) as client:
        for _ in range(3):
            assert await client.ask(b"?generator") == [b"!generator ok 1"]
            assert await client.ask(b"?native") == [b"!native ok 1"]
            assert await client.ask(b"?made-here") == [b"!made-here ok from\\_a\\_thread"]
            assert await client.ask(b"?undecorated") == [b"!undecorated fail after\\_a\\_moment"]


def test_the_modes_are_those_of_the_two_servers() -> None:
    assert {"default": DeviceServer, "async": AsyncDeviceServer} == MODES
