"""``?sensor-list`` and ``?sensor-value``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.protocol import Message, ProtocolFlags
from katcp.server import AsyncDeviceServer, Sensor
from katcp.server._requests import _sensors
from katcp.server._requests._lists import CHUNK
from tests.helpers.serving import serving, small_client, swallow, talking, until


class Device(AsyncDeviceServer):
    announces_clients = False

    def setup_sensors(self) -> None:
        for sensor in (
            Sensor.float("stage1.temperature", "First stage temperature", "K", [40.0, 80.0]),
            Sensor.integer("stage1.turns", "Motor revolutions", "count"),
            Sensor.discrete("stage1.valve", "Inlet valve", params=["open", "closed", "moving"]),
            Sensor.boolean("pump.on", "Pump running"),
            Sensor.string("motd", "Banner text"),
            Sensor.timestamp("last-service", "Time of last service"),
            Sensor.address("host", "Peer address"),
            Sensor.lru("lru", "A unit"),
        ):
            self.add_sensor(sensor)
            sensor.set(1767225600.0, Sensor.UNKNOWN, sensor.value())


LISTED = [
    b" host Peer\\_address \\@ address",
    b" last-service Time\\_of\\_last\\_service \\@ timestamp",
    b" lru A\\_unit \\@ lru",
    b" motd Banner\\_text \\@ string",
    b" pump.on Pump\\_running \\@ boolean",
    b" stage1.temperature First\\_stage\\_temperature K float 40.0 80.0",
    b" stage1.turns Motor\\_revolutions count integer",
    b" stage1.valve Inlet\\_valve \\@ discrete open closed moving",
]

READ = [
    b" 1767225600.000000 1 host unknown 0.0.0.0",
    b" 1767225600.000000 1 last-service unknown 0.000000",
    b" 1767225600.000000 1 lru unknown nominal",
    b" 1767225600.000000 1 motd unknown \\@",
    b" 1767225600.000000 1 pump.on unknown 0",
    b" 1767225600.000000 1 stage1.temperature unknown 40.0",
    b" 1767225600.000000 1 stage1.turns unknown 0",
    b" 1767225600.000000 1 stage1.valve unknown open",
]

FILTERS: list[tuple[bytes, slice | list[int] | None]] = [
    (b"", slice(None)),
    (b" motd", [3]),
    (b" motd surplus", [3]),
    (b" //", slice(None)),
    (b" /^stage/", [5, 6, 7]),
    (b" /stage1\\\\.t/", [5, 6]),
    (b" /MOTD/", []),
    (b" /(?i)MOTD/", [3]),
    (b" nope", None),
    (b" \\@", None),
    (b" /", None),
    (b" mot", None),
    (b" \xff", None),
]


@pytest.mark.parametrize(("asked", "expected"), FILTERS, ids=[repr(f[0]) for f in FILTERS])
async def test_filters(asked: bytes, expected: Any) -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        for name, lines in ((b"sensor-list", LISTED), (b"sensor-value", READ)):
            answer = await client.ask(b"?" + name + b"[12]" + asked)
            head = name + b"[12]"
            if expected is None:
                assert answer == [b"!" + head + b" fail Unknown\\_sensor\\_name."]
                continue
            chosen = (
                lines[expected] if isinstance(expected, slice) else [lines[i] for i in expected]
            )
            assert answer == [
                *[b"#" + head + line for line in chosen],
                b"!" + head + b" ok %d" % len(chosen),
            ]


@pytest.mark.parametrize("pattern", [b"/(/", b"/[a/", b"/(a*)*\\\\1b/", b"/" + b"a" * 1001 + b"/"])
async def test_bad_patterns(pattern: bytes) -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        for name in (b"sensor-list", b"sensor-value"):
            (reply,) = await client.ask(b"?" + name + b"[1] " + pattern)
            assert reply.startswith(b"!" + name + b"[1] fail Invalid\\_regular\\_expression:\\_")
            assert len(reply) < 200


async def test_a_reading_is_that_of_its_time() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        sensor = server.get_sensor("stage1.turns")
        sensor.set_value(7, Sensor.WARN, 1234.5)
        for _ in range(2):
            assert await client.ask(b"?sensor-value stage1.turns") == [
                b"#sensor-value 1234.500000 1 stage1.turns warn 7",
                b"!sensor-value ok 1",
            ]
        sensor.set_value(8, Sensor.INACTIVE, 1235)
        assert (await client.ask(b"?sensor-value stage1.turns"))[0] == (
            b"#sensor-value 1235.000000 1 stage1.turns inactive 8"
        )


async def test_one_bad_reading_does_not_spoil_the_list(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        server.get_sensor("stage1.turns").set(1.0, Sensor.NOMINAL, "no number")
        lines = await client.ask(b"?sensor-value")
        assert lines[-1] == b"!sensor-value ok 8"
        assert b" stage1.turns failure 0" in lines[6]
    assert "stage1.turns" in caplog.text


async def test_version_4() -> None:
    class Old(Device):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server) as client:
        server.get_sensor("last-service").set_value(1764547200.25, timestamp=1767225600.125)
        assert (await client.ask(b"?sensor-value last-service"))[0] == (
            b"#sensor-value 1767225600125 1 last-service nominal 1764547200250"
        )
        server.get_sensor("motd").set_value("x", Sensor.UNREACHABLE, 1.001)
        assert (await client.ask(b"?sensor-value motd"))[0] == (
            b"#sensor-value 1001 1 motd unknown x"
        )


class Many(AsyncDeviceServer):
    announces_clients = False
    count = 3 * CHUNK + 1

    def setup_sensors(self) -> None:
        for i in range(self.count):
            self.add_sensor(Sensor.integer(f"group{i % 7}.sensor{i:06d}", "A number. " * 10))


@pytest.mark.slow
async def test_long_lists_let_others_have_their_turn() -> None:
    async with (
        serving(Many("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        for name in (b"sensor-list", b"sensor-value"):
            await client.send(b"?" + name + b"[1]", b"?watchdog[2]")
            lines = await client.until_reply()
            assert lines[-1] == b"!" + name + b"[1] ok %d" % Many.count
            assert len(lines) == Many.count + 1
            assert lines[:-1] == sorted(lines[:-1]) or name == b"sensor-value"
            assert await client.line() == b"!watchdog[2] ok"
            assert await other.ask(b"?watchdog") == [b"!watchdog ok"]


@pytest.mark.slow
async def test_a_long_list_waits_for_a_slow_reader() -> None:
    async with serving(Many("127.0.0.1", 0, max_backlog=400_000)) as server:
        client = await small_client(server)
        (connection,) = server._server.connections
        # 20 lists of 400 kB each, of which the client has read nothing yet.
        await client.send(*[b"?sensor-list"] * 20, b"?watchdog[1]")
        await until(lambda: connection.write_blocked)
        await asyncio.sleep(0.05)
        assert connection.unsent <= 400_000
        assert await swallow(client, b"!watchdog[1] ok\n") > 20 * 400_000
        await client.close()


@pytest.mark.slow
async def test_many_requests_for_lists_at_once_do_not_count_as_slowness() -> None:
    class Some(Many):
        count = 900

    async with serving(Some("127.0.0.1", 0, max_backlog=400_000)) as server:
        client = await small_client(server)
        (connection,) = server._server.connections
        await client.send(*[b"?sensor-list"] * 100, b"?watchdog[1]")
        await until(lambda: connection.write_blocked)
        assert await swallow(client, b"!watchdog[1] ok\n") > 100 * 120_000
        await client.close()


@pytest.mark.slow
async def test_informs_of_any_length() -> None:
    class Wordy(Many):
        def setup_sensors(self) -> None:
            for i, length in enumerate([10, 700_000, 20, *[40_000] * 50, 5]):
                self.add_sensor(Sensor.string(f"s{i:02d}", "x" * length))

    async with serving(Wordy("127.0.0.1", 0, max_backlog=2_000_000)) as server:
        client = await small_client(server)
        (connection,) = server._server.connections
        await client.send(*[b"?sensor-list"] * 4, b"?watchdog")
        await until(lambda: connection.write_blocked)
        await asyncio.sleep(0.02)
        assert connection.unsent < 1_500_000
        assert await swallow(client, b"!watchdog ok\n") > 4 * 2_700_000
        await client.close()


async def test_sensors_that_change_during_a_long_list_do_not_change_its_number() -> None:
    async with serving(Many("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?sensor-list")
        await client.line()
        for sensor in server.get_sensors()[::2]:
            server.remove_sensor(sensor)
        lines = await client.until_reply()
        informs = [line for line in lines if line.startswith(b"#sensor-list")]
        assert lines[-1] == b"!sensor-list ok %d" % (len(informs) + 1)
        assert len(informs) + 1 == Many.count


async def test_a_long_search_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_sensors, "TIME_SLICE", 0)  # so that each name is a slice
    monkeypatch.setattr(_sensors, "MAX_SLICES", Many.count + 1)
    async with (
        serving(Many("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        *lines, reply = await client.ask(b"?sensor-value[1] /^group3/")
        expected = len([s for s in server.get_sensors() if s.name.startswith("group3")])
        assert reply == b"!sensor-value[1] ok %d" % expected
        assert len(lines) == expected
        # What is removed while it is looked for is not found.
        await client.send(b"?sensor-list[2] //")
        assert await other.ask(b"?watchdog") == [b"!watchdog ok"]
        server.remove_sensor("group0.sensor000000")
        lines = await client.until_reply()
        assert lines[-1] == b"!sensor-list[2] ok %d" % (Many.count - 1)
        assert server.get_sensor("group1.sensor000001") in server._description_tails
        monkeypatch.setattr(_sensors, "MAX_SLICES", 10)
        for name in (b"sensor-list", b"sensor-value"):
            assert (await client.ask(b"?" + name + b"[3] //"))[-1] == (
                b"!" + name + b"[3] fail Invalid\\_regular\\_expression:\\_it\\_takes\\_too\\_long."
            )


async def test_handlers_called_by_hand_give_the_same() -> None:
    class Listener:
        def __init__(self) -> None:
            self.messages: list[str] = []

        def reply(self, msg: Message, orig: Message) -> None:
            self.messages.append(str(msg))

        def inform(self, msg: Message) -> None:
            self.messages.append(str(msg))

    server = Device("127.0.0.1", 0)
    listener = Listener()
    server.handle_message(listener, Message.request("sensor-list", "/^stage1.v/"))
    server.handle_message(listener, Message.request("sensor-value", "motd"))
    assert listener.messages == [
        "#sensor-list stage1.valve Inlet\\_valve \\@ discrete open closed moving",
        "!sensor-list ok 1",
        "#sensor-value 1767225600.000000 1 motd unknown \\@",
        "!sensor-value ok 1",
    ]


@pytest.mark.parametrize("name", [b"sensor-list", b"sensor-value"])
async def test_a_long_list_is_made_a_piece_a_turn(
    monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    class Large(AsyncDeviceServer):
        announces_clients = False

        def setup_sensors(self) -> None:
            for number in range(3 * CHUNK + 1):
                self.add_sensor(Sensor.integer(f"s{number:05d}"))

    turns: list[int] = []

    def note(sensors: Any) -> None:
        turns[-1] += len(sensors)

    def next_turn() -> None:
        turns.append(0)
        asyncio.get_running_loop().call_soon(next_turn)

    readings = _sensors.wire_readings
    monkeypatch.setattr(
        _sensors, "wire_readings", lambda some, major: note(some) or readings(some, major)
    )
    describe = Large._wire_descriptions
    monkeypatch.setattr(
        Large, "_wire_descriptions", lambda self, some: note(some) or describe(self, some)
    )
    async with serving(Large("127.0.0.1", 0)) as server, talking(server) as client:
        next_turn()
        lines = await client.ask(b"?" + name + b"[1]")
        assert lines[-1] == b"!" + name + b"[1] ok %d" % (3 * CHUNK + 1)
        assert len(lines) == 3 * CHUNK + 2
        assert [count for count in turns if count] == [CHUNK, CHUNK, CHUNK, 1]
        monkeypatch.undo()
