"""B4, B10: a device that lies or means ill; what is good about it can be used all the same."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any

import pytest

from katcp.client import AsyncClient, Message
from katcp.errors import KatcpClientError
from katcp.protocol import escape
from katcp.resource_client import KATCPClientResource
from katcp.server import AsyncDeviceServer, Sensor
from tests.fuzz._ends import REQUESTS, SENSORS, FuzzedInspector, said
from tests.helpers import figures
from tests.helpers.inspecting import Told, inspecting
from tests.helpers.scripted import V50, V50_NO_IDS, V51, Device
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import sizes

#: Clears the screen, sets the title, rings, starts a line; no UTF-8; a control of eight bits.
EVIL = b"\x1b[2J\x1b]0;owned\x07\x08\r\n\x9b31m\xff\x00" + "\x85\u2028".encode()
WIRE = escape(EVIL)

GOOD = [b"# good.a A. V integer 0 9", b"# good.b B. \\@ discrete on off"]
BAD_SENSORS = {
    "no name": b"#",
    "empty name": b"# \\@ An. V integer",
    "not UTF-8": b"# \xff\xfe An. V integer",
    "no type": b"# bad.short An. V",
    "only a name": b"# bad.lone",
    "unknown type": b"# bad.type An. V quaternion",
    "bad parameters": b"# bad.limits An. V integer low high",
    "too many parameters": b"# bad.many An. V integer 1 2 3 4 5 6",
    "no words": b"# bad.words An. \\@ discrete",
    "twice": b"# good.a Another. V float",
    "bad description": b"# odd.text \xff\xfe\xfd \xff integer",
    "evil": b"# evil.%b %b %b %b %b" % (WIRE, WIRE, WIRE, WIRE, WIRE),
    "long name": b"# " + b"x" * 100_000 + b" An. V integer",
    "python": b"# __class__.__init__ An. V integer",
    "slash": b"# ../../etc/passwd An. V integer",
}


@pytest.mark.parametrize("what", [*BAD_SENSORS, "all at once"])
@pytest.mark.parametrize("count", [b"right", b"0", b"99999", b"-1", b"nan", b"", b"\xff"])
async def test_b4_bad_sensors_in_a_list_do_not_spoil_the_good(what: str, count: bytes) -> None:
    bad = list(BAD_SENSORS.values()) if what == "all at once" else [BAD_SENSORS[what]]

    def sensor_list(session: Any, message: Message) -> list[bytes]:
        lines = [*GOOD, *bad]
        if message.arguments:
            head = b"# " + escape(message.arguments[0]) + b" "
            lines = [line for line in lines if line.startswith(head)][:1]
            if not lines:
                return [b"! fail Unknown\\_sensor\\_name."]
        return [*lines, b"! ok " + (b"%d" % len(lines) if count == b"right" else count)]

    async with Device(V51) as device:
        device.answers["sensor-list"] = sensor_list
        async with inspecting(device) as client:
            assert {"good.a", "good.b"} <= set(client.sensors)
            if what in ("no name", "empty name", "not UTF-8", "no type", "only a name", "twice"):
                assert client.sync_problems
            for name in client.sensors:
                try:
                    sensor = await asyncio.wait_for(client.future_get_sensor(name), 5)
                except (ValueError, TypeError):
                    assert not name.startswith("good")
                else:
                    assert sensor is not None or not name.startswith("good")
            a = await client.future_get_sensor("good.a")
            client.set_sampling("good.a", "event")
            device.values["good.a"] = "2.5 1 {} nominal 7"
            device.say(b"#sensor-status 2.5 1 good.a nominal 7")
            if what not in ("twice", "all at once"):
                await until(lambda: a.value() == 7)
            else:
                assert a.name == "good.a"
            assert (await client.simple_request("watchdog"))[0].reply_ok()


async def test_b4_what_is_wrong_is_listed_and_goes_when_it_is_mended() -> None:
    async with Device(V51) as device:
        lines = [*GOOD, b"# \\@ x V integer", b"# bad.short An. V", b"# good.a Again. V integer"]
        device.answers["sensor-list"] = lambda session, message: [*lines, b"! ok 5"]
        async with inspecting(device) as client:
            problems = "\n".join(client.sync_problems)
            for text in ("without a name", "'bad.short' without a type", "listed twice"):
                assert text in problems
            lines[:] = GOOD
            device.say(b"#interface-changed")
            await until(lambda: not client.sync_problems)
            await client.until_synced(timeout=5)
            assert set(client.sensors) == {"good.a", "good.b"}


@pytest.mark.parametrize("request_name", ["help", "sensor-list", "request-timeout-hint"])
@pytest.mark.parametrize(
    "answer",
    [[b"! fail"], [b"!"], [b"! ok"], [b"! \xff"], [b"! invalid no"], [b"#", b"# \xff", b"! ok x"]],
    ids=repr,
)
async def test_b4_answers_that_are_none_leave_the_client_in_a_state(
    request_name: str, answer: list[bytes]
) -> None:
    told = Told()
    async with Device(V51, {"a": "A. V integer"}) as device:
        device.answers[request_name] = lambda session, message: answer
        async with inspecting(device, told, synced=False) as client:
            question = b"?" + request_name.encode()
            await until(lambda: any(line.startswith(question) for line in device.heard))
            await asyncio.sleep(0.02)
            assert client.connected
            del device.answers[request_name]
            device.say(b"#interface-changed")
            await client.until_synced(timeout=5)
            await until(lambda: client.sensors == ["a"] and len(client.requests) == 2)
            assert device.count == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("arguments", [b"", b" sensor an.int added", b" sensor x%d added"])
async def test_b4_interface_changed_a_thousand_times_a_second(arguments: bytes) -> None:
    client = FuzzedInspector("memory", 7147)
    below: Any = client.katcp_client
    asked: list[bytes] = []
    loop = asyncio.get_running_loop()

    def heard(line: bytes) -> None:
        asked.append(line)
        name, _, argument = line[1:].partition(b" ")
        table = {b"sensor-list": SENSORS, b"help": REQUESTS}.get(name.split(b"[")[0])
        if table is None:
            below.peer.say(said(line, b"! ok 0"))
        elif argument and argument not in table:
            below.peer.say(said(line, b"! fail Unknown\\_name."))
        else:
            names = [argument] if argument else list(table)
            lines = [b"# %b %b" % (each, table[each]) for each in names]
            below.peer.say(said(line, b"\n".join([*lines, b"! ok %d" % len(lines)])))

    below.heard = heard
    client.connect()
    await below.until_connected()
    below.peer.say(b"".join(line + b"\n" for line in V51))
    await client.until_synced(timeout=5)
    asked.clear()
    begun = loop.time()
    for number in range(20_000):
        text = arguments % number if b"%d" in arguments else arguments
        below.peer.say(b"#interface-changed" + text + b"\n")
        await asyncio.sleep(0.001)
    seconds = loop.time() - begun
    inspections = len(asked) / (3 if not arguments else 1)
    figures.note("announcements of change", 20_000)
    figures.note("requests because of them", len(asked))
    if b"%d" not in arguments:
        # Five at once and one a second, or ten times that where a single name is asked for.
        assert client.max_resync_rate == 1
        most = 5 + seconds + 1
        assert seconds / 2 < inspections <= most * (10 if arguments else 1)
    else:  # what is announced has to be asked for, once each at the most, or all at once
        assert len(asked) <= 20_000
    await client.until_synced(timeout=10)
    assert set(client.sensors) == {name.decode() for name in SENSORS}
    client.stop()
    await client.until_stopped(timeout=5)


# -- too much ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("greeting", [V50, V50_NO_IDS], ids=["ids", "no ids"])
@sizes("informs", 100_000, 1_000_000)
async def test_b4_informs_without_end_for_one_request(
    greeting: tuple[bytes, ...], informs: int
) -> None:
    informs = max(informs, 100_000)  # or some of them would be within the limit
    line = b"#endless%b an.inform with\\_some words\n"

    async def endless(session: Any, message: Message) -> list[bytes]:
        mid = b"" if message.mid is None else b"[" + message.mid + b"]"
        for _ in range(informs // 1000):
            session.writer.write((line % mid) * 1000)
            await session.writer.drain()
        return [b"! ok %d" % informs]

    async with Device(greeting) as device:
        device.answers["endless"] = endless
        client = AsyncClient(device.host, device.port, timeout=60)
        client.set_ioloop()
        client.MAX_INFORMS_SIZE = 2 * 1024 * 1024  # type: ignore[misc]  # as user code sets it
        client.start()
        try:
            await client.until_protocol(timeout=5)
            most = 0

            def look() -> None:
                nonlocal most
                pendings = [*client._table.by_mid.values()]
                pendings += [p for queue in client._table._by_name.values() for p in queue]
                most = max([most, *[len(p.informs or ()) for p in pendings]])

            original = client.connection_received

            def received(events: Any) -> None:
                original(events)
                look()

            client.connection_received = received  # type: ignore[method-assign]
            reply, kept = await client.future_request(Message.request("endless"))
            assert reply.arguments[0] == b"fail"
            assert b"take more than 2097152 bytes" in reply.arguments[1]
            assert not kept
            for ask in (client.raw_request, client.wire_request):
                with pytest.raises(KatcpClientError, match="take more than"):
                    await ask(Message.request("endless"))
            # About 240 bytes each; what is read between two looks comes on top.
            assert 1000 < most < 2 * 1024 * 1024 / 60 + 1024 * 1024 / len(line) * 2
            counts = [0, 0]

            def count(msg: Message) -> None:
                counts[0] += 1

            done = asyncio.Event()
            if greeting is V50:  # without ids the late replies have to be sorted out first
                # One that takes each as it comes may have as many as there are.
                client.callback_request(
                    Message.request("endless"), lambda msg: done.set(), count, timeout=60
                )
                await asyncio.wait_for(done.wait(), 60)
                assert counts[0] == informs
            reply, _ = await client.future_request(Message.request("watchdog"))
            assert reply.reply_ok()
            assert device.count == 1
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


async def test_b4_a_long_list_within_the_limit_comes_whole() -> None:
    async with Device(V51) as device:
        device.answers["sensor-list"] = lambda session, message: [
            *[b"# s.%05d A\\_sensor. V integer" % i for i in range(20_000)],
            b"! ok 20000",
        ]
        async with inspecting(device) as client:
            assert len(client.sensors) == 20_000
            assert client.katcp_client.MAX_INFORMS_SIZE == 128 * 1024 * 1024
            assert not client.sync_problems


# -- names that mean ill -------------------------------------------------------------------------


class Listening(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def logged() -> Any:
    listening = Listening()
    log = logging.getLogger("katcp")
    log.addHandler(listening)
    log.setLevel(logging.DEBUG)
    yield listening.texts
    log.removeHandler(listening)
    log.setLevel(logging.NOTSET)
    assert listening.texts
    for text in listening.texts:
        assert all(line.isprintable() for line in [text]), repr(text)


async def test_b10_nothing_a_device_says_is_logged_raw(logged: list[str]) -> None:
    async with Device(V51, {"good": "Good. V integer"}) as device:
        evil = [b"# evil.%b %b %b %b %b" % ((WIRE,) * 5), b"# " + WIRE, b"# good A. V integer"]
        device.answers["sensor-list"] = lambda session, message: [*evil, b"! ok 3"]
        device.answers["help"] = lambda session, message: [
            b"# help %b" % WIRE,
            b"# %b %b" % (WIRE, WIRE),
            b"! ok 2",
        ]
        device.answers["request-timeout-hint"] = lambda session, message: [
            b"# %b %b" % (WIRE, WIRE),
            b"! fail %b" % WIRE,
        ]
        device.answers["refuse"] = lambda session, message: [b"! fail %b" % WIRE]
        async with inspecting(device) as client:
            for name in client.sensors:
                try:
                    await client.future_get_sensor(name)
                except ValueError:
                    pass
                client.set_sampling(name, "event")
            await client.simple_request("refuse")
            for words in itertools.product((b"good", WIRE), (b"nominal", WIRE), (b"1", WIRE)):
                device.say(b"#sensor-status 1.5 1 %b %b %b" % words)
                device.say(b"#sensor-status %b 1 %b %b %b" % (WIRE, *words))
            device.say(
                EVIL,
                b"?who %b" % WIRE,
                b"!nobody %b" % WIRE,
                b"!" + EVIL,
                b"#interface-changed sensor %b added" % WIRE,
                b"#interface-changed %b" % WIRE,
                b"#device-changed %b" % WIRE,
                b"#version-connect katcp-protocol %b" % WIRE,
                b"#version-connect katcp-device %b %b" % (WIRE, WIRE),
                b"#version-connect %b %b" % (WIRE, WIRE),
                b"#version %b" % WIRE,
                b"#build-state %b" % WIRE,
                b"#log error 1.5 %b %b" % (WIRE, WIRE),
                b"#disconnect %b" % WIRE,
            )
            await until(lambda: device.count == 2)
            await client.until_synced(timeout=5)


class Plain(AsyncDeviceServer):
    """Has one sensor, and a request that fails in the client's words."""

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("i"))

    def request_repeat(self, req: Any, text: bytes) -> None:
        """Fail."""
        raise ValueError(text)

    def reply_known(self, conn: Any, msg: Message) -> None:
        """Fail too."""
        raise ValueError(msg.arguments)


async def test_b10_nothing_a_client_says_is_logged_raw(logged: list[str]) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(
            EVIL,
            b"?" + EVIL,
            b"?repeat[1] " + WIRE,
            b"?" + b"x" * 2000,
            b"!" + b"y" * 100,
            b"#noise " + WIRE,
            b"!known " + WIRE,
            b"?repeat[" + EVIL + b"]",
            b"?sensor-value " + WIRE,
            b"?sensor-list /(" + WIRE + b"/",
            b"?sensor-sampling " + WIRE + b" " + WIRE,
            b"?sensor-sampling i " + WIRE + b" " + WIRE,
            b"?help " + WIRE,
            b"?log-level " + WIRE,
            b"?client-list " + WIRE,
            b"?version-list " + WIRE,
            b"?watchdog[99]",
        )
        while not (await client.line()).startswith(b"!watchdog[99]"):
            pass


async def test_b10_names_of_a_device_become_attributes_that_hide_nothing() -> None:
    names = ["__class__", "req", "sensor", "a.b", "a_b", "a-b", "../x", "A.B", "is_connected", ""]
    listing = [b"# %b A. V integer" % (name.encode() or b"\\@") for name in names]
    async with Device(V51) as device:
        device.answers["sensor-list"] = lambda session, message: [*listing, b"! ok 10"]
        resource = KATCPClientResource(
            {"name": "thing", "address": (device.host, device.port), "controlled": True}
        )
        resource.start()
        try:
            await asyncio.wait_for(resource.until_synced(), 5)
            assert type(resource) is KATCPClientResource
            assert type(resource.sensor).__name__ != "KATCPSensor"
            assert resource.is_connected()
            assert resource.sensor["a_b"].name in ("a.b", "a_b", "a-b")
        finally:
            resource.stop()
            await asyncio.sleep(0.05)
