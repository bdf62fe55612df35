"""``?sensor-sampling`` and ``?sensor-sampling-clear``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.protocol import ProtocolFlags
from katcp.server import AsyncDeviceServer, Sensor
from katcp.server._requests._lists import CHUNK
from tests.helpers.serving import serving, talking, until


class Device(AsyncDeviceServer):
    announces_clients = False

    def setup_sensors(self) -> None:
        for sensor in (
            Sensor.integer("an.int", "A number."),
            Sensor.float("a.float", "A number."),
            Sensor.discrete("a.mode", "A mode.", params=["on", "off"]),
            Sensor.timestamp("a.time", "A time."),
        ):
            self.add_sensor(sensor)
            sensor.set(1000.25, Sensor.NOMINAL, sensor.value())


INT = b"#sensor-status 1000.250000 1 an.int nominal 0"
FLOAT = b"#sensor-status 1000.250000 1 a.float nominal 0.0"


async def test_asking_and_setting() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?sensor-sampling[1] an.int") == [
            b"!sensor-sampling[1] ok an.int none"
        ]
        for strategy in (
            b"event",
            b"auto",
            b"period 2.50",
            b"differential 5",
            b"event-rate 1 10",
            b"event-rate 0 inf",
            b"differential-rate 5 1.0 1e1",
        ):
            # The reading comes first, without the id; the parameters come back as written.
            assert await client.ask(b"?sensor-sampling[2] an.int " + strategy) == [
                INT,
                b"!sensor-sampling[2] ok an.int " + strategy,
            ]
            assert await client.ask(b"?sensor-sampling[3] an.int") == [
                b"!sensor-sampling[3] ok an.int " + strategy
            ]
        assert await client.ask(b"?sensor-sampling[4] an.int none") == [
            b"!sensor-sampling[4] ok an.int none"
        ]
        server.get_sensor("an.int").set_value(5)
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


UNKNOWN = b"Unknown\\_sensor\\_name:\\_"
COUNTED = b"The\\_'%b'\\_strategy\\_takes\\_%b."

MISTAKES = [
    (b"", b"No\\_sensor\\_name\\_given."),
    (b" nope", UNKNOWN + b"nope."),
    (b" nope event", UNKNOWN + b"nope."),
    (b" \\@ event", UNKNOWN + b"."),
    (b" \xff event", UNKNOWN + b"\\\\xff."),
    (b" /int/ event", UNKNOWN + b"/int/."),
    (b" an.int sometimes", b"Unknown\\_strategy\\_name:\\_sometimes."),
    (b" an.int EVENT", b"Unknown\\_strategy\\_name:\\_EVENT."),
    (b" an.int \\@", b"Unknown\\_strategy\\_name:\\_."),
    (b" an.int event 1", COUNTED % (b"event", b"no\\_parameters")),
    (b" an.int auto 1", COUNTED % (b"auto", b"no\\_parameters")),
    (b" an.int none 1", COUNTED % (b"none", b"no\\_parameters")),
    (b" an.int period", COUNTED % (b"period", b"one\\_parameter")),
    (b" an.int period 0", b"The\\_period\\_must\\_be\\_a\\_positive\\_float\\_in\\_seconds."),
    (b" an.int period -1", b"The\\_period\\_must\\_be\\_a\\_positive\\_float\\_in\\_seconds."),
    (b" an.int period inf", b"The\\_period\\_must\\_be\\_a\\_positive\\_float\\_in\\_seconds."),
    (b" an.int period nan", b"The\\_period\\_must\\_not\\_be\\_nan."),
    (b" an.int period 1e-9", b"The\\_period\\_must\\_be\\_at\\_least\\_0.001\\_s."),
    (b" an.int differential 0.5", b"Could\\_not\\_parse\\_difference\\_'0.5'\\_as\\_an\\_integer."),
    (b" an.int differential -1", b"The\\_diff\\_amount\\_must\\_be\\_a\\_positive\\_integer."),
    (b" an.int event-rate 0 0", b"The\\_longest\\_period\\_must\\_be\\_more\\_than\\_0."),
    (b" an.int event-rate 5", COUNTED % (b"event-rate", b"two\\_parameters")),
    (b" an.int differential-rate 1 2", COUNTED % (b"differential-rate", b"three\\_parameters")),
    (b" an.int,nope event", b"Unknown\\_sensor\\_names:\\_nope."),
    (b" an.int, event", b"Unknown\\_sensor\\_names:\\_."),
    (b" x,y,an.int event", b"Unknown\\_sensor\\_names:\\_x,\\_y."),
    (b" an.int,a.float", b"Cannot\\_query\\_multiple\\_sensors."),
]


@pytest.mark.parametrize(("asked", "text"), MISTAKES, ids=[repr(m[0]) for m in MISTAKES])
async def test_a_mistake_changes_nothing(asked: bytes, text: bytes) -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?sensor-sampling an.int,a.float event")
        assert await client.ask(b"?sensor-sampling[5]" + asked) == [
            b"!sensor-sampling[5] fail " + text
        ]
        for name in (b"an.int", b"a.float"):
            assert await client.ask(b"?sensor-sampling " + name) == [
                b"!sensor-sampling ok " + name + b" event"
            ]


async def test_what_fits_some_sensors_only_is_refused_for_all() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        (reply,) = await client.ask(b"?sensor-sampling an.int,a.mode differential 1")
        assert reply.startswith(
            b"!sensor-sampling fail The\\_'differential'\\_strategy\\_is\\_only"
        )
        (reply,) = await client.ask(b"?sensor-sampling a.float,an.int differential 0.5")
        assert reply.startswith(b"!sensor-sampling fail Could\\_not\\_parse")
        assert not server._sampling._clients


async def test_many_at_once() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        # Named twice is set once, and the names come back as they were given.
        assert await client.ask(b"?sensor-sampling[9] an.int,a.float,an.int event") == [
            INT,
            FLOAT,
            b"!sensor-sampling[9] ok an.int,a.float,an.int event",
        ]
        server.get_sensor("an.int").set_value(3, timestamp=1.0)
        assert await client.line() == b"#sensor-status 1.000000 1 an.int nominal 3"


async def test_without_the_flag_a_comma_is_part_of_a_name() -> None:
    class Single(Device):
        PROTOCOL_INFO = ProtocolFlags(5, 1, "IM")

    async with serving(Single("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?sensor-sampling an.int,a.float event") == [
            b"!sensor-sampling fail " + UNKNOWN + b"an.int,a.float."
        ]
        assert await client.ask(b"?sensor-sampling an.int event") == [
            INT,
            b"!sensor-sampling ok an.int event",
        ]


async def test_version_4_counts_in_milliseconds() -> None:
    class Old(Device):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?sensor-sampling an.int period 20") == [
            b"#sensor-status 1000250 1 an.int nominal 0",
            b"!sensor-sampling ok an.int period 20",
        ]
        assert await client.lines(2) == [b"#sensor-status 1000250 1 an.int nominal 0"] * 2
        *_, reply = await client.ask(b"?sensor-sampling an.int event-rate 1 2")
        assert reply == (
            b"!sensor-sampling fail "
            b"Strategy\\_event-rate\\_not\\_allowed\\_for\\_version\\_4\\_of\\_katcp"
        )


async def test_a_period_floor_of_the_device() -> None:
    server = Device("127.0.0.1", 0, period_floor=0.5)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?sensor-sampling an.int period 0.4") == [
            b"!sensor-sampling fail The\\_period\\_must\\_be\\_at\\_least\\_0.5\\_s."
        ]
        assert (await client.ask(b"?sensor-sampling an.int period 0.5"))[-1].startswith(
            b"!sensor-sampling ok"
        )


async def test_strategies_are_of_one_client() -> None:
    async with (
        serving(Device("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.ask(b"?sensor-sampling an.int event")
        await other.ask(b"?sensor-sampling an.int differential 10")
        sensor = server.get_sensor("an.int")
        for value in (5, 10, 11):
            sensor.set_value(value, timestamp=value)
        assert [await client.line() for _ in range(3)] == [
            b"#sensor-status %d.000000 1 an.int nominal %d" % (v, v) for v in (5, 10, 11)
        ]
        assert await other.line() == b"#sensor-status 11.000000 1 an.int nominal 11"
        # One of them stops; the other does not notice.
        await client.ask(b"?sensor-sampling an.int none")
        sensor.set_value(50, timestamp=50)
        assert await other.line() == b"#sensor-status 50.000000 1 an.int nominal 50"
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_clear() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?sensor-sampling an.int,a.float,a.mode,a.time event")
        assert await client.ask(b"?sensor-sampling-clear[7]") == [b"!sensor-sampling-clear[7] ok"]
        for sensor in server.get_sensors():
            assert not sensor._notified
        assert await client.ask(b"?sensor-sampling an.int") == [b"!sensor-sampling ok an.int none"]
        assert await client.ask(b"?sensor-sampling-clear x") == [
            b"!sensor-sampling-clear fail Too\\_many\\_parameters\\_given."
        ]


# -- thousands at once --------------------------------------------------------------------


class Many(AsyncDeviceServer):
    announces_clients = False
    count = 3 * CHUNK + 1

    def setup_sensors(self) -> None:
        for i in range(self.count):
            self.add_sensor(Sensor.integer(f"s{i:05d}", "A number."))


def all_names(server: Any) -> bytes:
    return b",".join(sensor.name.encode() for sensor in server.get_sensors())


@pytest.mark.slow
async def test_thousands_at_once() -> None:
    async with serving(Many("127.0.0.1", 0)) as server, talking(server) as client:
        names = all_names(server)
        lines = await client.ask(b"?sensor-sampling[1] " + names + b" event")
        assert lines[-1] == b"!sensor-sampling[1] ok " + names + b" event"
        assert len(lines) == Many.count + 1
        for sensor in server.get_sensors():
            sensor.set_value(1)
        assert len(await client.lines(Many.count)) == Many.count


async def test_sensors_may_go_while_thousands_are_set() -> None:
    async with serving(Many("127.0.0.1", 0)) as server, talking(server) as client:
        names = all_names(server)
        await client.send(b"?sensor-sampling[1] " + names + b" auto")
        await client.line()
        last = server.get_sensor(f"s{Many.count - 1:05d}")
        server.remove_sensor(last)
        lines = await client.until_reply()
        assert lines[-1].startswith(b"!sensor-sampling[1] ok ")
        assert not last._notified


async def test_a_client_may_go_while_thousands_are_set() -> None:
    async with serving(Many("127.0.0.1", 0)) as server:
        names = all_names(server)
        async with talking(server) as client:
            await client.send(b"?sensor-sampling[1] " + names + b" event-rate 1 1000000")
            await client.line()
        await until(lambda: not server._server.connections)
        await until(lambda: not server.katcp_under_way)
        await asyncio.sleep(0.01)
        assert not server._sampling._clients
        assert not any(sensor._notified for sensor in server.get_sensors())
