"""The conformance checklist for servers, item by item, over sockets and in both modes.

Items that say what happens at which time run on virtual time, sockets and all; the others over
loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import aiokatcp
import async_solipsism
import pytest

from katcp.protocol import Message, MessageParser, ProtocolFlags, escape
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, DeviceServer, _accepting
from tests.helpers import timelines
from tests.helpers.demo_device import V4, V50, V50_NO_IDS, V51, demo_sensors, device_class
from tests.helpers.serving import serving, still_serves, talking, until
from tests.helpers.timelines import TIMELINES, Timeline
from tests.helpers.wire import WireClient
from tests.protocol.vectors import BAD_LINES, GOOD_LINES, Vector

MODES = ["default", "async"]
parse = MessageParser().parse


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@contextlib.asynccontextmanager
async def demo(
    mode: str, protocol: ProtocolFlags = V51, **kwargs: Any
) -> AsyncIterator[tuple[DeviceServer, WireClient]]:
    """Start the demo device, and one client of it."""
    device = device_class(protocol, mode)("127.0.0.1", 0, **kwargs)
    async with serving(device), talking(device) as client:
        yield device, client


@contextlib.asynccontextmanager
async def greeted(protocol: ProtocolFlags, mode: str) -> AsyncIterator[WireClient]:
    """Start the demo device, and a client that has read nothing yet."""
    device = device_class(protocol, mode)("127.0.0.1", 0)
    async with serving(device), await WireClient.connect(device.bind_address, greeting=None) as it:
        yield it


async def assert_silent(client: WireClient) -> None:
    """Nothing waits to be read: the next line is the answer to what is asked now."""
    assert await client.ask(b"?watchdog[999]") == [b"!watchdog[999] ok"]


# -- 1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", GOOD_LINES, ids=lambda vector: vector.label)
def test_b_server_01_vectors_parse_and_serialise(vector: Vector) -> None:
    message = parse(vector.line)
    assert message == Message(vector.mtype, vector.name, vector.arguments, vector.mid)
    assert parse(bytes(message)) == message


async def test_b_server_01_vectors_over_the_wire(mode: str) -> None:
    requests = [vector for vector in GOOD_LINES if vector.mtype == Message.REQUEST]
    async with demo(mode) as (_, client):
        for vector in requests:
            await client.send(vector.line)
            reply = parse(await client.line())
            assert (reply.mtype, reply.name, reply.mid) == (
                Message.REPLY,
                vector.name,
                vector.mid,
            )
        for vector in GOOD_LINES:
            # The arguments as they stand in the vector come back as they are written by us.
            tail = vector.line.partition(b" ")[2]
            (line,) = await client.ask(b"?echo " + tail)
            assert parse(line).arguments == [b"ok", *parse(b"?x " + tail).arguments]


@pytest.mark.parametrize("line", BAD_LINES)
def test_b_server_01_bad_vectors_are_syntax_errors(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse(line)


async def test_b_server_01_every_byte_round_trips(mode: str) -> None:
    async with demo(mode) as (_, client):
        everything = bytes(range(256))
        assert await client.ask(b"?echo " + escape(everything)) == [
            b"!echo ok " + escape(everything)
        ]
        await client.send(*[b"?echo " + escape(bytes([byte])) for byte in range(256)])
        for byte in range(256):
            assert parse(await client.line()).arguments == [b"ok", bytes([byte])]


# -- 2 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "ids"),
    [
        ([b"?watchdog[1]\n"], [1]),
        ([b"?watchdog[1]\r"], [1]),
        ([b"?watchdog[1]\r\n"], [1]),
        ([b"\n\r\r\n?watchdog[1]\n\n"], [1]),
        ([b"   \n\t\n \t \r?watchdog[1]\n"], [1]),
        ([b"?watch", b"dog[", b"1", b"]", b"\n"], [1]),
        ([b"?watchdog[1]\n?watchdog[2]\r?watchdog[3]\r\n"], [1, 2, 3]),
        ([b"?watchdog[1]\n?watch", b"dog[2]\n\r", b"\n?watchdog[3]\n"], [1, 2, 3]),
        ([b"?watchdog[1]\r", b"\n?watchdog[2]\n"], [1, 2]),
    ],
)
async def test_b_server_02_line_ends_and_reads(
    mode: str, chunks: list[bytes], ids: list[int]
) -> None:
    async with demo(mode) as (_, client):
        for chunk in chunks:
            await client.raw(chunk)
            await asyncio.sleep(0.005)  # so that chunks are, mostly, read apart
        expected = [b"!watchdog[%d] ok" % mid for mid in ids]
        assert await client.lines(len(ids)) == expected
        await assert_silent(client)


async def test_b_server_02_a_partial_line_at_the_end_is_dropped(mode: str) -> None:
    async with demo(mode) as (device, client), talking(device) as partial:
        assert (await client.line()).startswith(b"#client-connected")
        await partial.raw(b"?watchdog[1]\n?poke demo.int 7")
        assert await partial.line() == b"!watchdog[1] ok"
        partial.writer.write_eof()
        assert await partial.rest() == b""
        assert device.get_sensor("demo.int").value() == 3
        await assert_silent(client)


# -- 3 -------------------------------------------------------------------------------------

BAD = [
    (b" ?watchdog", r"Bad type character ' '."),
    (b"hello", r"Bad type character 'h'."),
    (b"?", r"Bad message name (and possibly id) ''."),
    (b"?9x", r"Bad message name (and possibly id) '9x'."),
    (b"?no_such", r"Bad message name (and possibly id) 'no_such'."),
    (b"? x", r"Bad message name (and possibly id) ''."),
    (b"?x[]", r"Bad message name (and possibly id) 'x[]'."),
    (b"?x[a]", r"Bad message name (and possibly id) 'x[a]'."),
    (b"?x[1", r"Bad message name (and possibly id) 'x[1'."),
    (b"?x[1]y", r"Bad message name (and possibly id) 'x[1]y'."),
    (b"?x[" + b"1" * 21 + b"]", f"Bad message name (and possibly id) 'x[{'1' * 21}]'."),
    (b"?x a\\q", r"Invalid escape character b'q'."),
    (b"?x a\\", r"Escape slash at end of argument."),
    (b"?echo a\x00b", r"Un-escaped special b'\x00'."),
    (b"?echo a\x1bb", r"Un-escaped special b'\x1b'."),
    (b"!unasked ok", r"Unexpected reply 'unasked'."),
    (b"\xff\xfe\x00\x80binary\x1b garbage", r"Bad type character 'ÿ'."),
]


@pytest.mark.parametrize(("line", "text"), BAD, ids=[repr(line) for line, _ in BAD])
async def test_b_server_03_a_bad_line_is_one_complaint_to_its_sender(
    mode: str, line: bytes, text: str
) -> None:
    async with demo(mode, V50) as (device, client), talking(device) as other:
        assert (await client.line()).startswith(b"#client-connected")
        assert await client.ask(b"?log-level off") == [b"!log-level ok off"]
        await client.send(line, b"?watchdog[9]")
        complaint = parse(await client.line())
        assert (complaint.mtype, complaint.name, complaint.mid) == (Message.INFORM, "log", None)
        level, when, logger, what = complaint.arguments
        assert (level, logger) == (b"error", b"root")
        assert float(when) == pytest.approx(time.time(), abs=60)
        if text.startswith("Unexpected"):
            assert what.decode() == text
        else:
            assert what.decode() == f"katcp.core.KatcpSyntaxError: {text}\n"
        assert await client.line() == b"!watchdog[9] ok"
        await assert_silent(other)


async def test_b_server_03_complaints_are_one_short_line(mode: str) -> None:
    async with demo(mode) as (_, client):
        for line in (
            b"x" * 100_000,
            b"?" + b"_" * 100_000,
            b"?" + b"\xff\n"[:1] * 100_000,
            b"?a " + b"y" * 100_000 + b"\\",
        ):
            await client.send(line)
            complaint = await client.line()
            assert complaint.startswith(b"#log error ")
            assert len(parse(complaint).arguments[3]) <= 200
        await assert_silent(client)


@pytest.mark.parametrize("line", [b"", b"   ", b"\t", b" \t ", b"#unknown-inform x", b"#x[7]"])
async def test_b_server_03_what_is_ignored(mode: str, line: bytes) -> None:
    async with demo(mode) as (_, client):
        await client.send(line, b"?watchdog[9]")
        assert await client.line() == b"!watchdog[9] ok"


@pytest.mark.parametrize("mid", [b"0", b"007", b"2147483648", b"9" * 20])
async def test_b_server_03_ids_outside_the_range_are_echoed(mode: str, mid: bytes) -> None:
    async with demo(mode) as (_, client):
        for name in (b"watchdog", b"echo"):
            assert await client.ask(b"?" + name + b"[" + mid + b"]") == [
                b"!" + name + b"[" + mid + b"] ok"
            ]
        assert await client.ask(b"?unknown[" + mid + b"]") == [
            b"!unknown[" + mid + b"] invalid Unknown\\_request."
        ]


async def test_b_server_03_an_overlong_line_is_discarded(mode: str) -> None:
    async with demo(mode, max_line=1000) as (_, client):
        for line in (b"?echo " + b"x" * 995, b"?echo " + b"x" * 3000):
            await client.send(line, b"?watchdog[9]")
            complaint = parse(await client.line())
            assert complaint.name == "log"
            assert complaint.arguments[0] == b"error"
            assert b"Line longer than 1000 bytes" in complaint.arguments[3]
            assert await client.line() == b"!watchdog[9] ok"
        (reply,) = await client.ask(b"?echo " + b"x" * 994)
        assert reply == b"!echo ok " + b"x" * 994


async def test_b_server_03_a_line_without_an_end_is_given_up(mode: str) -> None:
    async with demo(mode, max_line=1000) as (device, client):
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                await client.raw(b"x" * 1000)
        rest = b""
        with contextlib.suppress(ConnectionError):
            rest = await client.rest()
        assert rest.count(b"#log error ") <= 1
        await until(lambda: len(device._client_conns) == 0)
        await still_serves(device)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"?unknown[4] a b", b"!unknown[4] invalid Unknown\\_request."),
        (b"?add[4] 1", b"!add[4] fail Error\\_in\\_parameter\\_2\\_(y):\\_"),
        (b"?add[4] 1 2 3", b"!add[4] fail Too\\_many\\_parameters\\_given."),
        (b"?add[4] 1 x", b"!add[4] fail Error\\_in\\_parameter\\_2\\_(y):\\_Could\\_not\\_parse"),
        (b"?boom[4]", b"!boom[4] fail "),
        (b"?watchdog[4] with arguments", b"!watchdog[4] ok"),
    ],
)
async def test_b_server_03_bad_requests_have_replies(mode: str, line: bytes, reply: bytes) -> None:
    async with demo(mode, tb_limit=0) as (_, client):
        (answer,) = await client.ask(line)
        assert answer.startswith(reply)
        assert len(answer) < 300
        await assert_silent(client)


# -- 4 -------------------------------------------------------------------------------------


async def test_b_server_04_bytes_that_are_no_text_are_answered(mode: str) -> None:
    async with demo(mode) as (device, client), talking(device) as other:
        assert (await client.line()).startswith(b"#client-connected")
        assert await client.ask(b"?help \xff\xfe") == [b"!help fail Unknown\\_request\\_method."]
        assert await other.ask(b"?watchdog") == [b"!watchdog ok"]
        assert await client.ask(b"?echo \xff\xfe") == [b"!echo ok \xff\xfe"]
        for request in (
            b"?sensor-list \xff",
            b"?sensor-value /\xff/",
            b"?sensor-sampling \xff event",
            b"?sensor-sampling demo.int \xff",
            b"?sensor-sampling demo.int period \xff",
            b"?log-level \xff",
            b"?request-timeout-hint \xff",
            b"?add \xff \xff",
            b"?typed 1 \xff",
            b"?optional \xff",
        ):
            (reply,) = await client.ask(request)
            assert parse(reply).name == parse(request).name
        assert await other.ask(b"?watchdog") == [b"!watchdog ok"]
        await assert_silent(client)


# -- 5 -------------------------------------------------------------------------------------

LISTS = [b"help", b"sensor-list", b"sensor-value", b"client-list", b"version-list"]


@pytest.mark.parametrize("name", [*LISTS, b"request-timeout-hint"])
@pytest.mark.parametrize("mid", [b"", b"[17]"])
async def test_b_server_05_informs_carry_the_id_and_are_counted(
    mode: str, name: bytes, mid: bytes
) -> None:
    async with demo(mode) as (_, client):
        *informs, reply = await client.ask(b"?" + name + mid)
        assert informs
        assert reply == b"!" + name + mid + b" ok %d" % len(informs)
        assert all(line.startswith(b"#" + name + mid + b" ") for line in informs)


async def test_b_server_05_sampled_readings_carry_none(mode: str) -> None:
    async with demo(mode) as (device, client):
        assert await client.ask(b"?sensor-sampling[5] demo.int event") == [
            b"#sensor-status 1600000000.250000 1 demo.int nominal 3",
            b"!sensor-sampling[5] ok demo.int event",
        ]
        device.get_sensor("demo.int").set_value(4, timestamp=5)
        assert await client.line() == b"#sensor-status 5.000000 1 demo.int nominal 4"


async def test_b_server_05_a_big_list_is_counted_while_sensors_come_and_go(mode: str) -> None:
    async with demo(mode, coalesce=0) as (device, client):
        for number in range(5000):
            device.add_sensor(Sensor.integer(f"many.{number:05}"))
        await client.ask(b"?watchdog")
        await client.send(b"?sensor-list[1]", b"?sensor-value[2]")
        for number in range(0, 5000, 7):
            device.remove_sensor(f"many.{number:05}")
        for mid in (b"[1]", b"[2]"):
            lines = await client.until_reply()
            informs = [line for line in lines[:-1] if mid in line.split(b" ")[0]]
            others = [line for line in lines[:-1] if mid not in line.split(b" ")[0]]
            assert lines[-1].endswith(mid + b" ok %d" % len(informs))
            assert {line.split(b" ")[0] for line in others} <= {b"#interface-changed"}


# -- 6 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_name", [b"sensor-list", b"sensor-value"])
async def test_b_server_06_filters(mode: str, request_name: bytes) -> None:
    async with demo(mode) as (_, client):

        async def ask(*arguments: bytes) -> list[bytes]:
            return await client.ask(b" ".join([b"?" + request_name, *arguments]))

        ok, fail = b"!" + request_name + b" ok ", b"!" + request_name + b" fail "
        assert await ask(b"/x{9}/") == [ok + b"0"]
        for unknown in (b"nope", b"\\@", b"demo", b"/", b"demo.int,demo.float", b"DEMO.INT"):
            assert await ask(unknown) == [fail + b"Unknown\\_sensor\\_name."]
        (bad,) = await ask(b"/(/")
        assert bad.startswith(fail + b"Invalid\\_regular\\_expression:\\_")
        (attack,) = await ask(b"/" + b"(a" * 2000 + b"/")
        assert attack.startswith(fail + b"Invalid\\_regular\\_expression:\\_")
        assert len(attack) < 300
        assert (await ask(b"//"))[-1] == ok + b"15"
        assert (await ask(b"/int/"))[-1] == ok + b"2"
        assert (await ask(b"/^demo\\\\.(bool|lru)$/"))[-1] == ok + b"2"
        assert (await ask(b"demo.int", b"surplus"))[-1] == ok + b"1"
        place = 1 if request_name == b"sensor-list" else 3
        *listed, _ = await ask()
        names = [line.split(b" ")[place] for line in listed]
        assert names == sorted(names)
        assert len(names) == 15


# -- 7 -------------------------------------------------------------------------------------

SETTINGS = [
    b"auto",
    b"event",
    b"period 100",
    b"differential 2",
    b"event-rate 1 100",
    b"differential-rate 2 1 100",
]
REFUSED = [
    b"event 1",
    b"period 0",
    b"period nan",
    b"differential -1",
    b"differential 1.5",
    b"event-rate 2 1",
    b"event-rate 0 0",
    b"differential-rate 1 nan 2",
    b"bogus",
    b"EVENT",
]


@pytest.mark.parametrize("strategy", SETTINGS)
async def test_b_server_07_one_reading_then_the_reply(mode: str, strategy: bytes) -> None:
    async with demo(mode, V50) as (_, client):
        for _ in range(2):  # setting it again begins it anew
            assert await client.ask(b"?sensor-sampling demo.int " + strategy) == [
                b"#sensor-status 1600000000.250000 1 demo.int nominal 3",
                b"!sensor-sampling ok demo.int " + strategy,
            ]
        assert await client.ask(b"?sensor-sampling demo.int") == [
            b"!sensor-sampling ok demo.int " + strategy
        ]
        assert await client.ask(b"?sensor-sampling demo.int none") == [
            b"!sensor-sampling ok demo.int none"
        ]


@pytest.mark.parametrize("strategy", REFUSED)
async def test_b_server_07_a_refused_setting_keeps_the_old_one(mode: str, strategy: bytes) -> None:
    async with demo(mode) as (device, client):
        await client.ask(b"?sensor-sampling demo.int event")
        (reply,) = await client.ask(b"?sensor-sampling demo.int " + strategy)
        assert reply.startswith(b"!sensor-sampling fail ")
        assert len(reply) < 300
        assert await client.ask(b"?sensor-sampling demo.int") == [
            b"!sensor-sampling ok demo.int event"
        ]
        device.get_sensor("demo.int").set_value(4, timestamp=5)
        assert await client.line() == b"#sensor-status 5.000000 1 demo.int nominal 4"


# -- 8 -------------------------------------------------------------------------------------


class _Listener(async_solipsism.socket.ListenSocket):  # type: ignore[misc]  # has no annotations
    """May be closed twice, as real sockets may."""

    def close(self) -> None:
        if self._queue is not None:
            super().close()


@contextlib.asynccontextmanager
async def virtual_demo(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Serve on a loop with virtual time, over sockets in memory."""
    address = ("::1", 7147)
    listener = _Listener(address)
    monkeypatch.setattr(_accepting, "bind_sockets", lambda host, port, backlog: [listener])
    device = device_class(V51, "async")(*address)
    assert isinstance(device, AsyncDeviceServer)
    device.start()
    await asyncio.sleep(0.001)
    try:
        yield device
    finally:
        await device.stop()


virtual = pytest.mark.filterwarnings("ignore::async_solipsism.SolipsismWarning")


@virtual
@pytest.mark.virtual_time
@pytest.mark.parametrize("timeline", TIMELINES, ids=lambda timeline: timeline.label)
async def test_b_server_08_timeline(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    async with virtual_demo(monkeypatch) as device, talking(device) as client:
        sensor = device.get_sensor("demo.float-free")
        sensor.set_value(timeline.first)
        await client.send(b"?sensor-sampling[1] demo.float-free " + timeline.strategy.encode())
        begun = loop.time()
        for when, value, status in timeline.sets:
            loop.call_at(begun + when, sensor.set_value, value, status)
        seen = []
        while True:
            try:
                line = await client.line(begun + timeline.end - loop.time())
            except asyncio.TimeoutError:
                break
            if not line.startswith(b"!sensor-sampling[1] ok "):
                name, _, count, sensor_name, status, value = line.split(b" ")
                assert (name, count, sensor_name) == (b"#sensor-status", b"1", b"demo.float-free")
                seen.append(
                    (
                        loop.time() - begun,
                        float(value),
                        Sensor.STATUS_NAMES_RAW[status],
                    )
                )
        assert seen == [
            (pytest.approx(when, abs=0.02), value, status) for when, value, status in timeline.sent
        ]


@pytest.mark.parametrize("strategy", SETTINGS)
async def test_b_server_08_samplers_vanish_on_disconnection(mode: str, strategy: bytes) -> None:
    async with demo(mode) as (device, client), talking(device) as leaver:
        assert (await client.line()).startswith(b"#client-connected")
        sensor = device.get_sensor("demo.int")
        await leaver.ask(b"?sensor-sampling demo.int " + strategy)
        assert device._sampling._clients
        await leaver.close()
        await until(lambda: not device._sampling._clients)
        assert sensor._observers == set()
        assert device._sampling.sampled() == []
        sensor.set_value(9)
        await assert_silent(client)


@pytest.mark.parametrize("strategy", SETTINGS)
@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_b_server_08_samplers_vanish_with_their_sensor(
    mode: str, strategy: bytes, how: str
) -> None:
    async with demo(mode) as (device, client):
        old = device.get_sensor("demo.int")
        await client.ask(b"?sensor-sampling demo.int " + strategy)
        if how == "removed":
            device.remove_sensor("demo.int")
            assert await client.line() == b"#interface-changed sensor demo.int removed"
            assert await client.ask(b"?sensor-sampling demo.int") == [
                b"!sensor-sampling fail Unknown\\_sensor\\_name:\\_demo.int."
            ]
        else:
            new = next(sensor for sensor in demo_sensors() if sensor.name == "demo.int")
            device.add_sensor(new)
            assert await client.line() == b"#interface-changed sensor demo.int modified"
            assert await client.ask(b"?sensor-sampling demo.int") == [
                b"!sensor-sampling ok demo.int none"
            ]
            new.set_value(8)
        old.set_value(9)
        assert old._observers == set()
        await assert_silent(client)


# -- 9 -------------------------------------------------------------------------------------


async def test_b_server_09_bulk_is_all_or_nothing(mode: str) -> None:
    names = b"demo.int,demo.float,demo.bool"
    async with demo(mode) as (device, client):

        async def strategies() -> list[bytes]:
            replies = [
                await client.ask(b"?sensor-sampling " + name)
                for name in (*names.split(b","), b"demo.mode")
            ]
            return [reply.split(b" ", 3)[3] for (reply,) in replies]

        assert len(await client.ask(b"?sensor-sampling[9] " + names + b" event")) == 4
        before = await strategies()
        assert before == [b"event", b"event", b"event", b"none"]
        for attempt in (
            b"demo.int,nope,demo.float period 5",
            b"demo.int, period 5",
            b",demo.int period 5",
            b"demo.int,demo.mode differential 2",
            b"demo.int,demo.float differential 1.5",
            b"demo.int,demo.mode bogus",
            b"demo.int,demo.mode period",
        ):
            (reply,) = await client.ask(b"?sensor-sampling " + attempt)
            assert reply.startswith(b"!sensor-sampling fail ")
            assert await strategies() == before
        (reply,) = await client.ask(b"?sensor-sampling demo.int,nope,none.such event")
        assert reply == b"!sensor-sampling fail Unknown\\_sensor\\_names:\\_nope,\\_none.such."
        (reply,) = await client.ask(b"?sensor-sampling " + names)
        assert reply == b"!sensor-sampling fail Cannot\\_query\\_multiple\\_sensors."
        device.get_sensor("demo.int").set_value(4, timestamp=5)
        assert await client.line() == b"#sensor-status 5.000000 1 demo.int nominal 4"


async def test_b_server_09_a_name_given_twice_counts_once(mode: str) -> None:
    async with demo(mode) as (device, client):
        assert await client.ask(b"?sensor-sampling demo.int,demo.int event") == [
            b"#sensor-status 1600000000.250000 1 demo.int nominal 3",
            b"!sensor-sampling ok demo.int,demo.int event",
        ]
        device.get_sensor("demo.int").set_value(4, timestamp=5)
        assert await client.line() == b"#sensor-status 5.000000 1 demo.int nominal 4"
        await assert_silent(client)


async def test_b_server_09_without_the_flag_a_comma_is_part_of_a_name(mode: str) -> None:
    async with demo(mode, V50) as (_, client):
        assert await client.ask(b"?sensor-sampling demo.int,demo.float event") == [
            b"!sensor-sampling fail Unknown\\_sensor\\_name:\\_demo.int,demo.float."
        ]


async def test_b_server_09_thousands_at_once(mode: str) -> None:
    async with demo(mode) as (device, client):
        names = [f"many.{number}" for number in range(3000)]
        for name in names:
            device.add_sensor(Sensor.integer(name))
        await client.ask(b"?watchdog")
        listed = ",".join(names).encode()
        lines = await client.ask(b"?sensor-sampling[1] " + listed + b" event")
        assert lines[-1] == b"!sensor-sampling[1] ok " + listed + b" event"
        readings = [line for line in lines if line.startswith(b"#sensor-status ")]
        assert [line.split(b" ")[3].decode() for line in readings] == names
        assert (await client.ask(b"?sensor-sampling-clear"))[-1] == b"!sensor-sampling-clear ok"
        assert device._sampling.sampled() == []


# -- 10 ------------------------------------------------------------------------------------


async def test_b_server_10_version_4_greets_as_such(mode: str) -> None:
    async with greeted(V4, mode) as client:
        assert await client.lines(2) == [
            b"#version demo-api-2.1",
            b"#build-state demo-build-3.4rc1",
        ]
        await assert_silent(client)


async def test_b_server_10_version_4_lacks_what_came_later(mode: str) -> None:
    async with demo(mode, V4) as (device, client):
        for name in (b"version-list", b"request-timeout-hint"):
            assert await client.ask(b"?" + name) == [b"!" + name + b" invalid Unknown\\_request."]
        for strategy in (b"event-rate 100 1000", b"differential-rate 1 100 1000"):
            (reply,) = await client.ask(b"?sensor-sampling demo.int " + strategy)
            assert reply == (
                b"!sensor-sampling fail Strategy\\_"
                + strategy.split(b" ")[0]
                + b"\\_not\\_allowed\\_for\\_version\\_4\\_of\\_katcp"
            )
        helped = [line.split(b" ")[1] for line in await client.ask(b"?help")]
        assert b"version-list" not in helped
        assert b"client-list" in helped
        device.add_sensor(Sensor.integer("more"))  # nothing announces it in version 4
        await assert_silent(client)


async def test_b_server_10_version_4_times_are_milliseconds_both_ways(mode: str) -> None:
    async with demo(mode, V4) as (device, client):
        assert await client.ask(b"?sensor-value demo.time") == [
            b"#sensor-value 1600000000250 1 demo.time unknown 1234567890125",
            b"!sensor-value ok 1",
        ]
        assert await client.ask(b"?stamp 1234500") == [b"!stamp ok 1234500"]
        device.log.error("oops", timestamp=1234.5678)
        assert await client.line() == b"#log error 1234568 root oops"
        await client.send(b"bad line")
        _, level, when, *_ = (await client.line()).split(b" ")
        assert level == b"error"
        assert int(when) == pytest.approx(time.time() * 1000, abs=60_000)
        sensor = device.get_sensor("demo.time")
        sensor.set_value(10.0, timestamp=1.001)
        assert (await client.ask(b"?sensor-sampling demo.time differential 1500"))[0] == (
            b"#sensor-status 1001 1 demo.time nominal 10000"
        )
        sensor.set_value(11.5, timestamp=2)
        sensor.set_value(11.501, timestamp=3)
        assert await client.line() == b"#sensor-status 3000 1 demo.time nominal 11501"
        assert await client.ask(b"?sensor-sampling demo.int period 0.5") == [
            b"!sensor-sampling fail The\\_period\\_must\\_be\\_at\\_least\\_0.001\\_s."
        ]


@virtual
@pytest.mark.virtual_time
async def test_b_server_10_version_4_periods_are_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(f"{__name__}.V51", V4)
    async with virtual_demo(monkeypatch) as device, talking(device) as client:
        begun = loop.time()
        reading = b"#sensor-status 1600000000250 1 demo.int nominal 3"
        assert await client.ask(b"?sensor-sampling demo.int period 2000") == [
            reading,
            b"!sensor-sampling ok demo.int period 2000",
        ]
        for tick in (1, 2, 3):
            assert await client.line() == reading
            assert loop.time() - begun == pytest.approx(2 * tick, abs=0.02)


# -- 11 ------------------------------------------------------------------------------------


async def test_b_server_11_halt(mode: str) -> None:
    device = device_class(V51, mode)("127.0.0.1", 0)
    goodbye = b"#disconnect Device\\_server\\_shutting\\_down.\n"
    async with serving(device), talking(device) as client, talking(device) as other:
        assert (await client.line()).startswith(b"#client-connected")
        await client.send(b"?halt[44]")
        assert await client.rest() == b"!halt[44] ok\n" + goodbye
        assert await other.rest() == goodbye
        await until(lambda: not device.running())
        host, port = device.bind_address
        with pytest.raises(ConnectionRefusedError):
            await WireClient.connect((host, port), greeting=None)
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind((host, port))


async def test_b_server_11_requests_under_way_are_answered(mode: str) -> None:
    async with demo(mode) as (device, client):
        await client.send(b"?nap[1] 30")
        assert await client.line() == b"#nap[1] napping"
        await client.send(b"?watchdog[2]")
        async with talking(device) as other:
            await other.send(b"?halt[3]")
            assert (await other.rest()).startswith(b"!halt[3] ok\n#disconnect ")
        lines = (await client.rest()).split(b"\n")
        assert lines[-3:] == [
            b"!nap[1] fail request_cancelled",
            b"#disconnect Device\\_server\\_shutting\\_down.",
            b"",
        ]


# -- 12 ------------------------------------------------------------------------------------


async def test_b_server_12_a_client_that_never_reads_informs_is_dropped(mode: str) -> None:
    async with demo(mode, max_backlog=256 * 1024, coalesce=0) as (device, client):
        deaf = socket.create_connection(device.bind_address)
        try:
            assert (await client.line()).startswith(b"#client-connected")
            rounds = 0
            while len(device._client_conns) == 2:
                device.mass_inform(Message.inform("news", "x" * 10_000))
                rounds += 1
                await client.ask(b"?watchdog")
                assert rounds < 5000
            # What the kernel takes on its way does not count; what waits here does.
            assert rounds > 256 * 1024 / 10_000
        finally:
            deaf.close()


async def test_b_server_12_a_client_that_never_reads_readings_is_dropped(mode: str) -> None:
    # The newest reading of each sensor waits for it, so that there are never many.
    async with demo(mode, max_backlog=256 * 1024, stall_timeout=0.3, coalesce=0) as (
        device,
        client,
    ):
        deaf = socket.create_connection(device.bind_address)
        try:
            deaf.sendall(b"?sensor-sampling demo.text auto\n")
            assert (await client.line()).startswith(b"#client-connected")
            await until(lambda: bool(device.get_sensor("demo.text")._observers))
            sensor = device.get_sensor("demo.text")
            while len(device._client_conns) == 2:
                sensor.set_value("x" * 10_000)
                assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
            assert sensor._observers == set()
        finally:
            deaf.close()


async def test_b_server_12_a_client_that_never_reads_replies_is_held_back_then_dropped(
    mode: str,
) -> None:
    async with demo(mode, max_backlog=256 * 1024, stall_timeout=0.3) as (device, client):
        deaf = socket.create_connection(device.bind_address)
        deaf.setblocking(False)
        try:
            assert (await client.line()).startswith(b"#client-connected")
            while len(device._client_conns) == 2:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    deaf.send(b"?help\n?sensor-list\n" * 100)
                assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
                for connection in list(device._client_conns):
                    assert connection.unsent < 4 * 1024 * 1024
                await asyncio.sleep(0.002)
        finally:
            deaf.close()
        assert (await client.ask(b"?client-list"))[-1] == b"!client-list ok 1"


# -- 13 ------------------------------------------------------------------------------------

GREETINGS = {"5.1": V51, "5.0": V50, "5.0 without ids": V50_NO_IDS, "4": V4}


@pytest.mark.parametrize("version", GREETINGS)
async def test_b_server_13_greeting(mode: str, version: str) -> None:
    protocol = GREETINGS[version]
    async with greeted(protocol, mode) as client:
        await client.send(b"?watchdog")  # the greeting comes before any answer
        *greeting, reply = await client.until_reply()
        assert reply == b"!watchdog ok"
        informs = [parse(line) for line in greeting]
        names = {inform.name for inform in informs}
        assert all(inform.mid is None for inform in informs)
        if protocol.major < 5:
            assert names == {"version", "build-state"}
            return
        # Version 5 alone: a contradiction makes some clients give up for good.
        assert names == {"version-connect"}
        # Never more than three arguments: some clients reject the inform otherwise.
        assert all(2 <= len(inform.arguments) <= 3 for inform in informs)
        assert [inform.arguments[0] for inform in informs] == [
            b"katcp-protocol",
            b"katcp-library",
            b"katcp-device",
        ]
        announced = ProtocolFlags.parse_version(informs[0].arguments[1])
        assert announced == protocol
        # What is announced is there, and nothing else.
        asked = await client.ask(b"?request-timeout-hint")
        assert (asked[-1].split(b" ")[1] == b"ok") is announced.request_timeout_hints
        asked = await client.ask(b"?sensor-sampling demo.int,demo.bool event")
        assert (asked[-1].split(b" ")[1] == b"ok") is announced.bulk_set_sensor_sampling


async def test_b_server_13_version_list_repeats_the_greeting(mode: str) -> None:
    async with greeted(V51, mode) as client:
        greeting = [line.split(b" ")[1:] for line in await client.lines(3)]
        listed = [line.split(b" ")[1:] for line in (await client.ask(b"?version-list"))[:-1]]
        for item in greeting:
            assert any(entry[: len(item)] == item for entry in listed)


async def test_b_server_13_aiokatcp_client(mode: str) -> None:
    device = device_class(V51, mode)("127.0.0.1", 0)
    changed = asyncio.Event()
    seen: list[tuple[bytes, ...]] = []

    class Client(aiokatcp.Client):
        # Annotations would have to be types, not text, to be understood.
        def inform_interface_changed(self, *args):  # type: ignore[no-untyped-def]
            """Take note of a change."""
            changed.set()

        def inform_sensor_status(self, *args):  # type: ignore[no-untyped-def]
            """Take note of a reading."""
            seen.append(args)

    async with serving(device):
        client = await asyncio.wait_for(Client.connect(*device.bind_address), 10)
        try:
            reply, informs = await client.request("help")
            assert len(informs) == int(reply[0])
            reply, informs = await client.request("add", 1.5, 2)
            assert [float(value) for value in reply] == [3.5]
            with pytest.raises(aiokatcp.FailReply, match="No can do: reason here"):
                await client.request("fail-reply")
            with pytest.raises(aiokatcp.InvalidReply, match="Unknown request"):
                await client.request("no-such-request")
            with pytest.raises(aiokatcp.FailReply, match="Unknown sensor"):
                await client.request("sensor-value", "nope")
            reply, informs = await client.request("sensor-value")
            assert int(reply[0]) == len(informs) == 15
            reply, _ = await client.request("echo", b"\xff\x00 \n", "")
            assert reply == [b"\xff\x00 \n", b""]
            reply, _ = await client.request("sensor-sampling", "demo.int,demo.float", "event")
            assert reply == [b"demo.int,demo.float", b"event"]
            device.get_sensor("demo.int").set_value(4)
            await until(lambda: len(seen) == 3)
            assert seen[-1][2:] == (b"demo.int", b"nominal", b"4")
            device.remove_sensor("demo.bool")
            await asyncio.wait_for(changed.wait(), 10)
            naps = await asyncio.gather(
                *[client.request("side-nap", 0.01 * number) for number in (3, 2, 1)]
            )
            assert [reply for reply, _ in naps] == [[b"rested"]] * 3
        finally:
            client.close()
            await client.wait_closed()


async def test_b_server_13_aiokatcp_sensor_watcher(mode: str) -> None:
    device = device_class(V51, mode)("127.0.0.1", 0)
    async with serving(device):
        client = aiokatcp.Client(*device.bind_address)
        watcher = aiokatcp.SensorWatcher(client)
        client.add_sensor_watcher(watcher)
        try:
            await asyncio.wait_for(watcher.synced.wait(), 10)
            # It knows no lru; all the others are mirrored.
            assert set(watcher.sensors) == {s.name for s in demo_sensors()} - {"demo.lru"}
            assert watcher.sensors["demo.float"].value == 1.25
            device.get_sensor("demo.float").set_value(math.pi)
            await until(lambda: watcher.sensors["demo.float"].value == math.pi)
            device.add_sensor(Sensor.integer("later"))
            await until(lambda: "later" in watcher.sensors)
            device.remove_sensor("demo.float")
            await until(lambda: "demo.float" not in watcher.sensors)
        finally:
            client.close()
            await client.wait_closed()


def test_the_timelines_are_those_of_the_algorithm() -> None:
    for timeline in TIMELINES:
        assert timelines.naive(timeline) == timelines.approx(timeline.sent)
