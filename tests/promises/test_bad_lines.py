"""B3, B5, B6, B7: lines that are bad, too many, too long or endless, and arguments that are odd.

More of them, over real sockets and with their effect on memory and on others: see
``tests/interop/test_bad_input.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcp.client import AsyncClient, Message
from katcp.protocol import DEFAULT_MAX_ARGUMENTS, DEFAULT_MAX_NAME, StreamParser, escape
from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers import figures
from tests.helpers.inspecting import inspecting
from tests.helpers.scripted import V51, Device
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import sizes
from tests.helpers.victim import Process, highest_memory, running
from tests.helpers.wire import WireClient

MB = 1024 * 1024


class Echo(AsyncDeviceServer):
    """Takes any arguments, and some of each kind."""

    def setup_sensors(self) -> None:
        for make in (Sensor.integer, Sensor.float, Sensor.string, Sensor.timestamp, Sensor.lru):
            self.add_sensor(make(f"a.{make.__name__}", "A sensor."))
        self.add_sensor(Sensor.discrete("a.discrete", "D.", "", ["on", "off"]))
        self.add_sensor(Sensor.address("a.address", "A."))

    def request_count(self, req: Any, *words: bytes) -> int:
        """Count words."""
        return len(words)

    def request_integer(self, req: Any, value: int) -> int:
        """Say the same."""
        return value

    def request_float(self, req: Any, value: float) -> float:
        """Say the same."""
        return value

    def request_text(self, req: Any, value: str) -> int:
        """Count characters."""
        return len(value)


@pytest.fixture(scope="module")
def victim() -> Iterator[Process]:
    with running() as process:
        yield process


# -- limits, just met and just passed -------------------------------------------------------


async def test_b5_most_arguments_of_a_message_and_one_more() -> None:
    limit = DEFAULT_MAX_ARGUMENTS
    assert limit == 65_536
    async with serving(Echo("127.0.0.1", 0)) as server, talking(server) as client:
        for word in (b" a", b"  a", b" \\@", b"\ta"):
            for count in (limit - 1, limit, limit + 1):
                await client.send(b"?count[1]" + word * count + b" ", b"?watchdog[2]")
                first = await client.line()
                if count <= limit:
                    assert first == b"!count[1] ok %d" % count
                else:
                    assert first.startswith(b"#log error ")
                    assert b"more\\_than\\_65536\\_arguments\\_discarded" in first
                    assert len(first) < 300
                assert await client.line() == b"!watchdog[2] ok"


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_b5_the_limit_on_arguments_is_an_argument(limit: int) -> None:
    async with (
        serving(Echo("127.0.0.1", 0, max_arguments=limit)) as server,
        talking(server) as client,
    ):
        for count in (limit - 1, limit, limit + 1, 100 * limit):
            # Alone, and among others that are read at once.
            for others in (0, 30):
                await client.send(
                    *[b"?watchdog[3]"] * others, b"?count[1]" + b" a" * count, b"?watchdog[2]"
                )
                *ahead, first, last = await client.lines(others + 2)
                assert ahead == [b"!watchdog[3] ok"] * others
                good = first == b"!count[1] ok %d" % count
                assert good is (count <= limit)
                assert good or first.startswith(b"#log error ")
                assert last == b"!watchdog[2] ok"


@pytest.mark.parametrize("limit", [None, 20])
async def test_b5_longest_name_and_one_byte_more(limit: int | None) -> None:
    longest = limit or DEFAULT_MAX_NAME
    assert limit or longest == 1024
    async with serving(Echo("127.0.0.1", 0, max_name=limit)) as server, talking(server) as client:
        for size in (longest - 1, longest, longest + 1, 64 * 1024):
            name = b"x" * size
            await client.send(b"?" + name + b"[1] a", b"?watchdog[2]")
            first, last = await client.lines(2)
            if size <= longest:
                assert first == b"!" + name + b"[1] invalid Unknown\\_request."
            else:
                assert first.startswith(b"#log error ")
                assert len(first) < 300
            assert last == b"!watchdog[2] ok"
            # The name of an inform or a reply is never repeated as it is.
            await client.send(b"#" + name, b"!" + name + b" ok", b"?watchdog[3]")
            complaint, last = await client.lines(2)
            assert complaint.startswith(b"#log error ")
            assert len(complaint) < 300
            assert last == b"!watchdog[3] ok"


async def test_b5_longest_line_and_one_byte_more() -> None:
    async with serving(Echo("127.0.0.1", 0, max_line=100)) as server, talking(server) as client:
        for size, end in itertools.product((99, 100, 101, 399), (b"\n", b"\r", b"\r\n")):
            line = b"?count[1] " + b"x" * (size - 10)
            await client.raw(line + end + b"?watchdog[2]" + end)
            first, last = await client.lines(2)
            assert first.startswith(b"!count[1] ok 1" if size <= 100 else b"#log error ")
            assert last == b"!watchdog[2] ok"


async def test_b5_a_client_bounds_what_a_device_says() -> None:
    async with Device(V51) as device:
        client = AsyncClient(device.host, device.port)
        client.MAX_ARGUMENTS = 10  # type: ignore[misc]  # as user code sets it
        client.MAX_MSG_SIZE = 1000
        client.set_ioloop()
        client.start()
        try:
            await client.until_protocol(timeout=5)
            device.answers["many"] = lambda session, message: [
                b"# " + b"a " * int(message.arguments[0]),
                b"! ok " + b"b " * 5,
            ]
            for count in (9, 10, 11):
                reply, informs = await client.future_request(Message.request("many", count))
                assert reply.reply_ok()
                assert [len(inform.arguments) for inform in informs] == [count][: count <= 10]
            device.answers["long"] = lambda session, message: [
                b"# " + b"a" * int(message.arguments[0]),
                b"! ok",
            ]
            for count, heard in ((900, 1), (1100, 0), (3000, 0)):
                reply, informs = await client.future_request(Message.request("long", count))
                assert reply.reply_ok()
                assert len(informs) == heard
            assert device.count == 1
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


def test_b5_a_line_in_many_pieces_takes_no_more_than_the_line() -> None:
    parser = StreamParser(max_line=10_000)
    for _ in range(300_000):
        parser.feed(b"x")
        assert parser.buffered <= 10_000
    assert parser.overrun > 280_000
    (event,) = parser.feed(b"\n?watchdog[9]\n")
    assert event.name == b"watchdog"  # type: ignore[union-attr]


# -- floods -----------------------------------------------------------------------------------

HOSTILE = [
    bytes.fromhex("16030100c8010000c40303") + bytes(range(256)) + b"\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\xff\xfb\x1f\xff\xfb\x20\xff\xfb\x18\r\n",
    bytes(300) + b"\n",
    b"\xed\xa0\x80\n",
    b"?echo \xed\xa0\x80\n",
    b"?" + b"x" * 3000 + b"\n",
    b"?watchdog[" + b"9" * 500 + b"]\n",
    b"?echo " + b"a " * 2000 + b"\n",
    b"?echo " + b"\\" * 501 + b"\n",
    b"!x ok\n#y\n\n \n\t\n",
    b"?sensor-list /(a+)+$/\n",
    b"?sensor-sampling text000 period 1e-9\n?sensor-sampling text000 event-rate nan inf\n",
    b"?log-level everything\n?client-list\n?help\n?sensor-value x\n",
]


@pytest.mark.slow
@sizes("hostile_connections", 150, 10_000)
async def test_b3_hostile_lines_over_many_connections(
    victim: Process, hostile_connections: int
) -> None:
    source = random.Random(3)
    async with talking(victim) as other:  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        answers = figures.Times()
        with highest_memory(victim) as memory:
            for start in range(0, hostile_connections, 25):

                async def one(number: int) -> None:
                    client = await WireClient.connect(victim.bind_address, greeting=0)
                    data = b"".join(source.choice(HOSTILE) for _ in range(100))
                    cut = source.randrange(len(data)) if number % 5 == 0 else len(data)
                    sending = asyncio.ensure_future(client.raw(data[:cut]))
                    if number % 3:
                        await client.line()
                        await sending
                    else:
                        sending.cancel()
                    client.writer.transport.abort()

                await asyncio.gather(*[one(start + i) for i in range(25)], return_exceptions=True)
                with answers:
                    assert (await other.ask(b"?watchdog[9]"))[-1] == b"!watchdog[9] ok"
            answers.note("another's answers meanwhile")
            figures.note("hostile lines", 100 * hostile_connections)
            await until(lambda: victim.sockets == 1)
    assert memory[0] - memory[1] < 80 * MB


@pytest.mark.slow
async def test_b3_a_flood_of_bad_lines_from_many_at_once(victim: Process) -> None:
    with highest_memory(victim) as memory:
        async with talking(victim) as other:  # type: ignore[arg-type]
            clients = [await WireClient.connect(victim.bind_address) for _ in range(6)]
            # They do not read, so they are held back once their complaints fill what there is.
            for client in clients:
                client.writer.write(b"bad\n" * 30_000)
            for number in range(1, 20):
                reply = b"!watchdog[%d] ok" % number
                assert (await other.ask(b"?watchdog[%d]" % number))[-1] == reply
            for client in clients:
                client.writer.transport.abort()
    await until(lambda: victim.sockets == 0)
    assert memory[0] - memory[1] < 40 * MB


# -- hostile expressions ----------------------------------------------------------------------

_EXPRESSIONS = """
import json, random, sys
from katcp.server import construct_name_filter
source = random.Random(6)
atoms = ["a", "b", ".", "[ab]", "[^c]", "\\\\w", "^", "$", "(?:a|aa)", "(a)", "(?=a)", "\\\\1", ""]
def make(depth):
    if not depth:
        return source.choice(atoms)
    inside = "".join(make(depth - 1) for _ in range(source.randrange(1, 4)))
    tail = source.choice(["", "*", "+", "?", "{2,30}", "*?", "{0,60}"])
    form = source.choice(["(%s)%s", "(?:%s)%s", "(?:%s|a)%s", "%s%s"])
    return form % (inside, tail)
names = ["a" * 64, "ab" * 32 + "c", "a" * 200, ""]
counts = {"refused": 0, "looked": 0}
for _ in range(int(sys.argv[1])):
    try:
        is_name, predicate = construct_name_filter("/" + make(source.randrange(4)) + "!/")
        for name in names:
            predicate(name)
    except ValueError:
        counts["refused"] += 1
    else:
        counts["looked"] += 1
print(json.dumps(counts))
"""


@pytest.mark.slow
@sizes("expressions", 1_500, 100_000)
def test_b6_random_expressions_are_refused_or_quick(expressions: int) -> None:
    # `re` would take longer than there is time for one that is let through wrongly.
    done = subprocess.run(
        [sys.executable, "-c", _EXPRESSIONS, str(expressions)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100 + expressions / 50,
        check=True,
    )
    counts = json.loads(done.stdout)
    figures.note("refused", counts["refused"])
    assert counts["refused"] + counts["looked"] == expressions
    assert min(counts.values()) > expressions / 20, "both happen"


async def test_b6_an_expression_at_the_longest_and_one_more() -> None:
    async with serving(Echo("127.0.0.1", 0)) as server, talking(server) as client:
        for size, status in ((999, b"ok 0"), (1000, b"ok 0"), (1001, b"fail Invalid")):
            *_, reply = await client.ask(b"?sensor-list[1] /" + b"x" * size + b"/")
            assert reply.startswith(b"!sensor-list[1] " + status)


# -- odd arguments ----------------------------------------------------------------------------

ODD = [
    b"\\@",
    b"0",
    b"-0",
    b"+5",
    b"007",
    b"1_000",
    b"0x10",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"nan",
    b"-nan",
    b"inf",
    b"Infinity",
    b"1" + b"0" * 400,
    b"9" * 5000,
    b"-" + b"9" * 4300,
    b"1." + b"0" * 5000,
    b"\xd9\xa3",  # a digit, though not of ASCII
    b"\xff",
    b"\xed\xa0\x80",
    b"\\0",
    b"1\\0",
    b"\\_1\\_",
    b"1\\n",
    b"true",
    b"now",
    b"253402300800",
    b"1e308",
    b"[::1]:99999",
    b"[::1",
    b"256.1.1.1:80",
    b"host:-1",
    b":",
    b"x" * MB,
]


async def test_b7_odd_arguments_have_an_answer_each() -> None:
    requests = [b"integer", b"float", b"text", b"count", b"sensor-value", b"sensor-list"]
    requests += [b"help", b"log-level", b"version-list", b"client-list", b"request-timeout-hint"]
    async with serving(Echo("127.0.0.1", 0, tb_limit=0)) as server, talking(server) as client:
        for argument, name in itertools.product(ODD, requests):
            *_, reply = await client.ask(b"?" + name + b"[1] " + argument)
            status = reply.split(b" ")[1]
            assert status in (b"ok", b"fail", b"invalid"), reply[:200]
            assert len(reply) < 6000, (name, argument[:30])
            assert b"Traceback" not in reply
        for argument in ODD:
            for strategy in (b"period %b", b"event-rate 0 %b", b"differential %b", b"%b"):
                wanted = b"?sensor-sampling[2] a.float " + strategy % argument
                *_, reply = await client.ask(wanted)
                assert reply.split(b" ")[1] in (b"ok", b"fail", b"invalid")
                assert len(reply) < 12_000
                assert (await client.ask(b"?sensor-sampling[3] a.float none"))[-1][:1] == b"!"


async def test_b7_odd_values_of_sensors_come_through_or_are_refused() -> None:
    async with serving(Echo("127.0.0.1", 0)) as server:
        host, port = server.bind_address
        odd: dict[str, list[Any]] = {
            "a.integer": [0, -1, 10**400, -(2**63), 2**64],
            "a.float": [0.0, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("nan")],
            "a.string": ["", "\0\r\n\t\x1b \\", "x" * MB, "\U0001f600", "\\@"],
            "a.timestamp": [0.0, 1.5, 253402300800.0],
            "a.discrete": ["on", "off"],
            "a.address": [("", 0), ("::1", 65535), ("1.2.3.4", None)],
        }
        device: Any = Device()
        device.host, device.port = host, port
        async with inspecting(device) as client:
            client.katcp_client.MAX_MSG_SIZE = 8 * MB
            for name, values in odd.items():
                sensor = await client.future_get_sensor(name)
                for value in values:
                    server.get_sensor(name).set_value(value)
                    reply, informs = await client.simple_request("sensor-value", name)
                    assert reply.reply_ok(), reply
                    (inform,) = informs
                    sensor.set_formatted(*[inform.arguments[i] for i in (0, 3, 4)])
                    assert repr(sensor.value()) == repr(value)


async def test_b7_a_device_that_says_odd_values() -> None:
    values = [escape(b"") if raw == b"\\@" else raw for raw in ODD]
    sensors = {"i": "I. V integer", "f": "F. V float"}
    async with Device(V51, sensors) as device, inspecting(device) as client:
        seen: list[Any] = [None]
        for name in ("i", "f"):
            sensor = await client.future_get_sensor(name)
            sensor.attach(Observer(seen))
            client.set_sampling(name, "event")
        for raw, name in itertools.product(values, (b"i", b"f")):
            device.say(b"#sensor-status 1.5 1 %b nominal %b" % (name, raw))
        device.say(b"#sensor-status 2.5 1 i nominal 12345")
        await until(lambda: 12345 in [value for value in seen if type(value) is int])
        assert client.synced
        assert float("inf") in [value for value in seen if isinstance(value, float)]


class Observer:
    def __init__(self, seen: list[Any]) -> None:
        self._seen = seen

    def update(self, sensor: Any, reading: Any) -> None:
        self._seen.append(reading.value)


async def test_b3_little_is_read_at_once_from_who_sends_bad_lines() -> None:
    async with serving(Echo("127.0.0.1", 0)) as server, talking(server) as client:
        (connection,) = server._server.connections
        seen: list[int] = []
        original = connection.received

        def received(events: Any) -> None:
            seen.append(len(events))
            original(events)

        connection.received = received
        sending = asyncio.ensure_future(client.raw(b"bad\n" * 8_000 + b"?watchdog[9]\n"))
        while not (await client.line()).startswith(b"!watchdog[9]"):
            pass
        await sending
        assert sum(seen) == 8_001
        assert max(seen) <= 4096, "the first time"
        assert max(seen[1:]) <= 513
        # Who sends good lines is trusted with more again.
        sending = asyncio.ensure_future(client.raw(b"#x\n" * 100_000 + b"?watchdog[9]\n"))
        while not (await client.line()).startswith(b"!watchdog[9]"):
            pass
        await sending
        assert max(seen) > 10_000
