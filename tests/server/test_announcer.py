"""``#interface-changed``, sent by itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from katcp.protocol import Message, ProtocolFlags
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor
from katcp.server._announcer import QUIET_TIME, InterfaceAnnouncer
from tests.helpers.serving import serving, talking

SENSORS = b"#interface-changed sensor-list\n"
REQUESTS = b"#interface-changed request-list\n"
EVERYTHING = b"#interface-changed\n"


def announcer() -> tuple[InterfaceAnnouncer, list[bytes]]:
    sent: list[bytes] = []
    return InterfaceAnnouncer(asyncio.get_running_loop(), sent.append), sent


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([("sensor", "a.b", "added")], b"#interface-changed sensor a.b added\n"),
        ([("sensor", "a.b", "removed")], b"#interface-changed sensor a.b removed\n"),
        ([("request", "x-y", "modified")], b"#interface-changed request x-y modified\n"),
        ([("sensor", "a", "added"), ("sensor", "b", "removed")], SENSORS),
        ([("request", "a", "added"), ("request", "b", "removed")], REQUESTS),
        ([("sensor", "a", "added"), ("request", "a", "added")], EVERYTHING),
        # The same thing twice is one change.
        (
            [("sensor", "a", "removed"), ("sensor", "a", "added")],
            b"#interface-changed sensor a modified\n",
        ),
        (
            [("sensor", "a", "added"), ("sensor", "a", "modified")],
            b"#interface-changed sensor a added\n",
        ),
        (
            [("sensor", "a", "added"), ("sensor", "a", "removed")],
            b"#interface-changed sensor a removed\n",
        ),
        (
            [("sensor", "a", "modified"), ("sensor", "a", "removed")],
            b"#interface-changed sensor a removed\n",
        ),
        ([("sensor", "a", "added")] * 3, b"#interface-changed sensor a added\n"),
    ],
)
async def test_forms(changes: list[tuple[str, str, str]], line: bytes) -> None:
    it, sent = announcer()
    for change in changes:
        it.changed(*change)
    assert sent == []
    await asyncio.sleep(0)
    assert sent == [line]
    await asyncio.sleep(10)
    assert sent == [line]


@pytest.mark.virtual_time
async def test_after_an_announcement_changes_are_collected() -> None:
    it, sent = announcer()
    it.changed("sensor", "a", "added")
    await asyncio.sleep(0)
    assert len(sent) == 1
    for number in range(50):
        it.changed("sensor", f"b{number}", "added")
        await asyncio.sleep(QUIET_TIME / 100)
    assert len(sent) == 1
    await asyncio.sleep(QUIET_TIME)
    assert sent[1:] == [SENSORS]
    await asyncio.sleep(QUIET_TIME)
    it.changed("sensor", "c", "removed")
    await asyncio.sleep(0)
    assert sent[2:] == [b"#interface-changed sensor c removed\n"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ([], []),
        ([b"whatever"], []),
        ([b"sensor-list"], [b"#interface-changed request r added\n"]),
        ([b"request-list"], [SENSORS]),
        ([b"sensor", b"a", b"added"], [EVERYTHING]),
        ([b"sensor", b"nope", b"added"], [EVERYTHING]),
    ],
)
async def test_what_is_announced_by_hand_is_not_announced_again(
    arguments: list[bytes], left: list[bytes]
) -> None:
    it, sent = announcer()
    it.changed("sensor", "a", "added")
    it.changed("sensor", "b", "added")
    it.changed("request", "r", "added")
    it.announced_by_hand(arguments)
    await asyncio.sleep(1)
    assert sent == left


@pytest.mark.virtual_time
async def test_stopped_it_announces_nothing() -> None:
    it, sent = announcer()
    it.changed("sensor", "a", "added")
    it.stop()
    it.stop()
    await asyncio.sleep(1)
    assert sent == []


# -- as a device does it ------------------------------------------------------------------


class Device(AsyncDeviceServer):
    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("first", "The first."))

    def request_grow(self, req: Any, msg: Message) -> Any:
        """Add sensors while clients look on."""
        for name in msg.arguments:
            self.add_sensor(Sensor.integer(name.decode(), "More."))
        return req.make_reply("ok")


def extra(req: Any, msg: Message) -> Any:
    """Be there for a while."""
    return req.make_reply("ok", "extra")


@pytest.mark.slow
async def test_a_device_announces_its_changes() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        server.add_sensor(Sensor.integer("a.b", "New."))
        assert await client.line() == b"#interface-changed sensor a.b added"
        await asyncio.sleep(QUIET_TIME)
        server.add_sensor(Sensor.float("a.b", "Another."))
        assert await client.line() == b"#interface-changed sensor a.b modified"
        await asyncio.sleep(QUIET_TIME)
        server.add_sensor(server.get_sensor("a.b"))  # the same one: nothing has changed
        server.add_request("extra", extra)
        assert await client.line() == b"#interface-changed request extra added"
        assert await client.ask(b"?extra[1]") == [b"!extra[1] ok extra"]
        await asyncio.sleep(QUIET_TIME)
        server.remove_request("extra")
        server.remove_sensor("a.b")
        assert await client.line() == b"#interface-changed"
        # The announcement comes after the change: those who look then see it.
        assert await client.ask(b"?sensor-list a.b") == [
            b"!sensor-list fail Unknown\\_sensor\\_name."
        ]
        await asyncio.sleep(QUIET_TIME)
        assert await client.ask(b"?grow x y z") == [b"!grow ok"]
        assert await client.line() == b"#interface-changed sensor-list"


async def test_by_hand_is_not_announced_twice() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        server.add_sensor(Sensor.integer("a.b", "New."))
        server.mass_inform(Message.inform("interface-changed"))
        await asyncio.sleep(2 * QUIET_TIME)
        assert await client.ask(b"?watchdog") == [b"#interface-changed", b"!watchdog ok"]


async def test_version_4_has_no_such_inform() -> None:
    class Old(Device):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server) as client:
        server.add_sensor(Sensor.integer("a.b", "New."))
        server.mass_inform(Message.inform("something-else"))
        await asyncio.sleep(2 * QUIET_TIME)
        assert await client.ask(b"?watchdog") == [b"#something-else", b"!watchdog ok"]


async def test_nothing_is_announced_before_the_start_or_after_the_end() -> None:
    server = Device("127.0.0.1", 0)
    server.add_sensor(Sensor.integer("a.b", "New."))
    server.remove_sensor("a.b")
    async with serving(server), talking(server) as client:
        await asyncio.sleep(2 * QUIET_TIME)
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
    server.add_sensor(Sensor.integer("a.b", "New."))
    server.remove_sensor("a.b")
    server.mass_inform(Message.inform("interface-changed"))
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_changes_made_in_another_thread() -> None:
    class Threaded(DeviceServer):
        announces_clients = False

        def setup_sensors(self) -> None:
            pass

    server = Threaded("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        server.add_sensor(Sensor.integer("a.b", "New."))
        assert await client.line() == b"#interface-changed sensor a.b added"
        await asyncio.sleep(QUIET_TIME)
        server.remove_sensor("a.b")
        assert await client.line() == b"#interface-changed sensor a.b removed"
    server.add_sensor(Sensor.integer("a.b", "New."))
    server.remove_sensor("a.b")
    assert not server.has_sensor("a.b")


async def test_by_hand_in_another_thread_is_not_announced_twice() -> None:
    class Threaded(DeviceServer):
        announces_clients = False

        def setup_sensors(self) -> None:
            pass

        def request_grow(self, req: Any, msg: Message) -> Message:
            """Get a sensor, as one did when that had to be announced by hand."""
            self.add_sensor(Sensor.integer("a.b", "New."))
            time.sleep(0.01)  # the loop has its turns meanwhile
            self.mass_inform(Message.inform("interface-changed"))
            return req.make_reply("ok")

    async with serving(Threaded("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?grow") == [b"#interface-changed", b"!grow ok"]
        await asyncio.sleep(2 * QUIET_TIME)
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
