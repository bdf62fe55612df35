"""Silence, cuts between any two bytes, trickling bytes, bad lines (F4, F5, F6, F18)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.inspecting_client import InspectingClientAsync
from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers import figures
from tests.helpers.badnet import BadNet, Way
from tests.helpers.inspecting import LETTERS, Told
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import WHOLE, size, sizes
from tests.helpers.wire import WireClient

pytestmark = pytest.mark.slow


class Plain(AsyncDeviceServer):
    """A device with a few sensors, of which one counts its requests."""

    VERSION_INFO = ("plain", 1, 0)
    announces_clients = False

    def setup_sensors(self) -> None:
        for i in range(8):
            self.add_sensor(Sensor.integer(f"count.{i}", "A\ncounter \\ of things.", "1"))
        self.accepted = 0

    def request_add(self, req: Any, x: int, y: int) -> int:
        """Add."""
        self.accepted += 1
        return x + y


@contextlib.asynccontextmanager
async def through(
    net: BadNet, told: Told | None = None, **kwargs: Any
) -> AsyncIterator[InspectingClientAsync]:
    """Run an inspecting client at the far end of a network."""
    client = InspectingClientAsync(net.host, net.port, **kwargs)
    client.katcp_client.auto_reconnect_delay = 0.002
    client.initial_resync_timeout = 0.002
    client.max_resync_timeout = 0.01
    client.max_resync_rate = 10000.0
    if told is not None:
        client.set_state_callback(told)
    await client.connect()
    try:
        yield client
    finally:
        client.stop()
        await client.until_stopped(timeout=10)


async def check_right(client: InspectingClientAsync, server: AsyncDeviceServer) -> None:
    """Check that the client is in step with a device that no longer changes."""
    await client.until_synced(timeout=20)
    assert set(client.sensors) == {sensor.name for sensor in server.get_sensors()}
    assert set(client.requests) == set(server._request_handlers)
    reply, _ = await client.simple_request("add", 3, 4)
    assert reply.arguments == [b"ok", b"7"]


def added_up(told: Told) -> dict[str, set[str]]:
    """Return the sensors and requests that whoever listened to all changes believes in."""
    names: dict[str, set[str]] = {"sensors": set(), "requests": set()}
    for changes in told.changes:
        for half in names:
            if half in changes:
                assert changes[half].removed <= names[half]
                names[half] -= changes[half].removed
                assert not changes[half].added & names[half], "told twice"
                names[half] |= changes[half].added
    return names


# -- silence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", ["up", "down", "both"])
@pytest.mark.parametrize("moment", ["at once", "in the middle", "when synced"])
async def test_f4_half_open_is_noticed(silent: str, moment: str) -> None:
    async with (
        serving(Plain("127.0.0.1", 0)) as server,
        BadNet(server.bind_address) as net,
    ):
        ways = [
            way for name, way in (("up", net.up), ("down", net.down)) if silent in (name, "both")
        ]
        told = Told()
        if moment == "at once":
            net.stall(*ways)
        elif moment == "in the middle":
            for way in ways:
                net.cut_each_after(way, 700 if way is net.down else 20, "silence")
        async with through(net, told, heartbeat=0.05) as client:
            client.katcp_client.greeting_timeout = 0.1
            if moment == "when synced":
                await client.until_synced(timeout=10)
                net.stall(*ways)
                await client.until_not_synced(timeout=5)
                assert not client.synced
            # It is given up, and tried again, as often as it takes.
            await until(lambda: net.count >= 3)
            assert "S" not in told.story.removeprefix("DCMS") or moment == "when synced"
            for way in ways:
                net.cut_each_after(way, None)
            net.go_on()
            net.cut()
            await check_right(client, server)
            assert added_up(told) == {
                "sensors": set(client.sensors),
                "requests": set(client.requests),
            }


async def test_f4_server_drops_who_takes_nothing() -> None:
    async with (
        serving(Plain("127.0.0.1", 0, stall_timeout=0.2, max_backlog=2**26)) as server,
        BadNet(server.bind_address) as net,
        await WireClient.connect(net.address) as client,
    ):
        net.stall(net.down)
        (connection,) = server._server.connections
        connection.send(b"#log " + b"x" * 2**24 + b"\n")
        await until(lambda: not server._server.connections)
        assert connection.transport.is_closing()
        net.go_on()
        await client.close()


# -- cuts ----------------------------------------------------------------------------------------


async def _length_of_a_session(server: Any) -> tuple[int, int]:
    async with BadNet(server.bind_address) as net, through(net) as client:
        await client.until_synced(timeout=10)
        await _ask(client)
        return net.up.passed, net.down.passed


async def _ask(client: InspectingClientAsync) -> list[Any]:
    """Have several requests pending at a time; return what became of them."""
    futures = [
        client.simple_request("add", 1, 2, timeout=20),
        client.simple_request("help", timeout=20),
        client.simple_request("sensor-value", timeout=20),
        client.simple_request("watchdog", timeout=20),
    ]
    return [reply for reply, _ in await asyncio.wait_for(asyncio.gather(*futures), 30)]


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("ending", ["rst", "fin", "half"])
@sizes("cuts", 12, 20_000)
async def test_f5_cut_between_any_two_bytes(direction: str, ending: str, cuts: int) -> None:
    told = Told()
    answered = lost = 0
    async with serving(Plain("127.0.0.1", 0)) as server:
        length = (await _length_of_a_session(server))[direction == "down"]
        server.accepted = 0
        async with BadNet(server.bind_address) as net:
            way: Way = getattr(net, direction)
            step = max(1, -(-length // cuts))
            net.cut_each_after(way, 0, ending)
            async with through(net, told) as client:
                for offset in range(0, length, step):
                    net.cut_each_after(way, offset, ending)
                    before = net.cuts
                    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                        await client.katcp_client.until_connected(timeout=1)
                    while net.cuts == before:
                        for reply in await _ask(client):
                            answered += reply.reply_ok()
                            lost += not reply.reply_ok()
                            assert reply.reply_ok() or b"onnect" in reply.arguments[1], reply
                        await asyncio.sleep(0)
                net.cut_each_after(way, None)
                net.cut("rst")
                await check_right(client, server)
                assert added_up(told) == {
                    "sensors": set(client.sensors),
                    "requests": set(client.requests),
                }
                assert net.cuts >= length // step
                # N3: nothing that was answered had not been accepted, each at most once.
                assert lost > 0
                assert 1 <= server.accepted <= answered + lost + 1
                figures.note("cuts", net.cuts)
                figures.note("requests answered", answered)
                figures.note("requests told that the connection is lost", lost)
        assert {LETTERS[state] for state in told.states} <= set("DCMNS")


async def test_f5_data_behind_a_fin() -> None:
    # The device ends its side and goes on to listen: it is gone all the same.
    async with (
        serving(Plain("127.0.0.1", 0)) as server,
        BadNet(server.bind_address) as net,
        through(net) as client,
    ):
        await client.until_synced(timeout=10)
        net.cut_each_after(net.down, net.down.passed + 5, "half")
        replies = await _ask(client)
        assert [reply.reply_ok() for reply in replies] == [False] * 4
        net.cut_each_after(net.down, None)
        await check_right(client, server)


# -- pieces --------------------------------------------------------------------------------------

LINES = [
    b"?watchdog[1]",
    b"?add[2] 3 4",
    b"?help[3] add",
    b"?add[4] \\@ 1",
    b"?no-such[5] a\\_b\\\\c\\n\\e",
    b"",
    b"?sensor-value[6] count.3",
    b"not a message",
    b"?watchdog[7]",
]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\n\n\n\n"])
@pytest.mark.parametrize("piece", [1, 2, 3, 7])
async def test_f6_pieces_mean_what_the_whole_means(end: bytes, piece: int) -> None:
    data = end.join(LINES) + end
    async with serving(Plain("127.0.0.1", 0)) as server, BadNet(server.bind_address) as net:
        heard = []
        for count in (len(data), piece):
            net.up.size = net.down.size = count
            async with await WireClient.connect(net.address) as client:
                await client.raw(data)
                lines = []
                while not lines or not lines[-1].startswith(b"!watchdog[7]"):
                    lines.append(await client.line())
                # But for the times.
                heard.append([re.sub(rb"\d{9,}\.\d+", b"NOW", line) for line in lines])
        assert heard[0] == heard[1]
        assert b"!watchdog[7] ok" in heard[0]
        assert b"!add[2] ok 7" in heard[0]


@sizes("slow_senders", 100, 1000)
async def test_f6_who_sends_byte_by_byte_keeps_nobody(slow_senders: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server:
        clients = [await WireClient.connect(server.bind_address) for _ in range(slow_senders)]
        try:
            async with talking(server) as other:
                answers = figures.Times()
                for byte in b"?add[12] 20 22\n":
                    for client in clients:
                        client.writer.write(bytes([byte]))
                    # Others have their answers between any two bytes of those.
                    with answers:
                        assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
                answers.note("others' answers meanwhile")
            for client in clients:
                assert await client.line() == b"!add[12] ok 42"
        finally:
            await asyncio.gather(*(client.close() for client in clients))


# -- bad lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "jitter", "rate", "requests"),
    [
        pytest.param(0.02, 0.02, 64 * 1024, 20, id="small"),
        pytest.param(
            0.2, 0.4, 8 * 1024, size("far_requests", 2000), id="64 kbit/s and losses", marks=WHOLE
        ),
        pytest.param(4.5, 0.0, None, 5, id="nine seconds there and back", marks=WHOLE),
    ],
)
async def test_f18_a_bad_line_is_slow_and_no_more(
    delay: float, jitter: float, rate: float | None, requests: int
) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, BadNet(server.bind_address) as net:
        for way in net.ways:
            way.delay, way.jitter, way.rate, way.size = delay, jitter, rate, 576
        told = Told()
        async with through(net, told, heartbeat=0.5 if delay < 0.1 else 10.0) as client:
            client.katcp_client.greeting_timeout = 10 * delay + 2
            client.sync_timeout = 120
            await client.until_synced(timeout=120)
            done = 0
            while done < requests:
                batch = min(20, requests - done)
                futures = [client.simple_request("add", done, i, timeout=120) for i in range(batch)]
                for i, (reply, _) in enumerate(await asyncio.gather(*futures)):
                    assert reply.arguments == [b"ok", b"%d" % (done + i)]
                done += batch
            assert net.count == 1
            assert told.story.count("D") == 1
        assert server.accepted == requests


async def test_f5_the_peer_may_end_in_any_way_at_any_time() -> None:
    # Many clients at once, each ended in its own way while it talks; the server forgets them all.
    chance = random.Random(5)
    async with serving(Plain("127.0.0.1", 0)) as server, BadNet(server.bind_address) as net:
        for _ in range(60):
            reader, writer = await asyncio.open_connection(*net.address)
            writer.write(b"?help\n?sensor-list\n?add 1 2\n?sensor-sampling count.1 event\n")
            if chance.random() < 0.5:
                await reader.readline()
            if chance.random() < 0.3:
                writer.write_eof()
                await asyncio.sleep(0.001)
            net.cut(chance.choice(["rst", "fin"]))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await until(lambda: not server._server.connections)
        async with talking(server) as client:
            assert await client.ask(b"?add[1] 1 1") == [b"!add[1] ok 2"]
