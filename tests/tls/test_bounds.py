"""What waits for a client over TLS, and what it may make wait, is bounded as it is without."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.server import Sensor
from tests.helpers.certificates import authority
from tests.helpers.guard import memory
from tests.helpers.serving import Bare, serving, swallow, until
from tests.helpers.tls_wire import tls_client
from tests.promises.test_slow import Talkative, read_until, subscribe

pytestmark = pytest.mark.slow

MB = 1 << 20


class Wordy(Bare):
    """Says much when asked, and more unasked."""

    def __init__(self, **options: Any) -> None:
        super().__init__("127.0.0.1", 0, ssl_context=authority().server(), **options)
        self.started = 0
        self.gone: list[str] = []

    def request_much(self, req: Any, size: int) -> bytes:
        """Return so many bytes."""
        self.started += 1
        return b"x" * size

    async def request_wait(self, req: Any) -> None:
        """Take a while."""
        self.started += 1
        await self.told.wait()

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        self.gone.append(msg)
        return super().on_client_disconnect(conn, msg, connection_valid)

    @property
    def told(self) -> asyncio.Event:
        """Lets the requests that wait go on."""
        if not hasattr(self, "_told"):
            self._told = asyncio.Event()
        return self._told


def only_connection(server: Any) -> Any:
    (connection,) = server._server.connections
    return connection


def in_layer(connection: Any) -> int:
    """Return how much encrypted input waits in the layer."""
    return int(connection.transport._incoming.pending)


async def test_readings_of_a_slow_subscriber_are_the_newest() -> None:
    server = Talkative("127.0.0.1", 0, max_backlog=MB, ssl_context=authority().server())
    async with serving(server):
        client = await tls_client(server.bind_address, receive=4096)
        await subscribe(client)
        connection = only_connection(server)
        before = memory()
        for number in range(1500):  # 7 MB, of which the system and asyncio take some
            server.say(number)
            if number % 10 == 0:
                await asyncio.sleep(0)
            assert connection.unsent < MB // 4 + 2 * 256 * 1024
        assert memory() - before < 6 * MB
        numbers = await read_until(client, 1499)
        for seen in numbers.values():
            assert seen == sorted(set(seen))
            assert len(seen) < 1450
        assert connection.spared == 5 * 1500 - sum(map(len, numbers.values()))
        server.say(3000)
        assert await read_until(client, 3000) == {i: [3000] for i in range(5)}
        await client.close()


@pytest.mark.parametrize("line", [1000, 300_000])
async def test_what_is_no_reading_is_bounded(line: int) -> None:
    async with serving(Wordy(max_backlog=MB)) as server:
        client = await tls_client(server.bind_address, receive=4096)
        connection = only_connection(server)
        number = 0
        while not connection.closed:
            number += 1
            connection.send(b"#log info 1.0 x " + b"y" * line + b"\n")
            assert connection.unsent <= MB + line
            await asyncio.sleep(0)
            assert number < 20_000
        await until(lambda: server.gone)
        assert server.gone == [f"Client too slow: more than {MB} bytes wait to be sent"]
        await client.close()


async def test_the_default_backlog_is_reached_and_not_passed() -> None:
    async with serving(Wordy()) as server:
        client = await tls_client(server.bind_address, receive=4096)
        connection = only_connection(server)
        before = memory()
        most = 0
        while not connection.closed:
            connection.send(b"#x " + b"y" * 50_000 + b"\n")
            await asyncio.sleep(0)
            most = max(most, connection.unsent)
        assert 7 * MB < most <= 8 * MB + 60_000
        assert memory() - before < 3 * 8 * MB
        await until(lambda: server.gone)
        await client.close()


async def test_who_takes_nothing_is_dropped() -> None:
    async with serving(Wordy(stall_timeout=0.4)) as server:
        client = await tls_client(server.bind_address, receive=4096)
        connection = only_connection(server)
        while not connection.write_blocked:
            connection.send(b"#x " + b"y" * 50_000 + b"\n")
            await asyncio.sleep(0)
        while not server.gone:
            # That more and more is to be sent must not pass for something being taken.
            connection.send(b"#x " + b"y" * 1000 + b"\n")
            await asyncio.sleep(0.02)
        assert server.gone == ["Client too slow: took nothing for 0.4 s"]
        assert connection.unsent < 7 * MB
        await client.close()


async def test_who_takes_a_little_is_not() -> None:
    async with serving(Wordy(stall_timeout=0.3)) as server:
        client = await tls_client(server.bind_address, receive=4096)
        connection = only_connection(server)
        await client.send(b"?much[1] 7000000")
        await until(lambda: connection.write_blocked)
        left = 7_000_000
        while left > 6_000_000:
            left -= len(await client.reader.read(65_536))
            await asyncio.sleep(0.03)
        assert not server.gone
        await swallow(client, b"\n")
        await client.close()


async def test_who_asks_and_does_not_read_is_not_served_ahead() -> None:
    async with serving(Wordy()) as server:
        client = await tls_client(server.bind_address, receive=4096)
        connection = only_connection(server)
        client.writer.write(b"".join(b"?much[%d] 100000\n" % i for i in range(1, 501)))
        await until(lambda: connection.write_blocked)
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert connection.unsent < 2 * MB
            assert in_layer(connection) <= 128 * 1024
        assert server.started < 200
        # It goes on where it was.
        await swallow(client, b"!much[500] ok " + b"x" * 100_000 + b"\n")
        assert server.started == 500
        await client.close()


async def test_a_flood_behind_a_request_that_takes_its_time_waits_at_the_sender() -> None:
    async with serving(Wordy()) as server:
        client = await tls_client(server.bind_address)
        connection = only_connection(server)
        client.writer.write(b"?wait\n" + b"?watchdog\n?watchdog\n" * 100_000)  # 2 MB
        await until(lambda: connection._waiting_paused or len(connection._waiting) > 200)
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert in_layer(connection) <= 128 * 1024
            assert len(connection._waiting) < 20_000
        assert server.started == 1
        server.told.set()
        assert await client.line() == b"!wait ok"
        for _ in range(200_000):
            assert await client.reader.readline() == b"!watchdog ok\n"
        await client.close()


async def test_closing_sends_what_waits_and_does_not_wait_for_ever() -> None:
    async with serving(Wordy()) as server:
        server._server.DISCONNECT_TIMEOUT = 3  # type: ignore[misc]
        reads = await tls_client(server.bind_address, receive=4096)
        deaf = await tls_client(server.bind_address, receive=4096)
        for client in (reads, deaf):
            await client.send(b"?much[1] 7000000")
        await until(lambda: server.started == 2)
        await until(lambda: all(c.write_blocked for c in server._server.connections))
        reading = asyncio.ensure_future(reads.rest(30))
        await asyncio.wait_for(server.stop(), 8)
        heard = await reading
        assert heard.startswith(b"!much[1] ok xxx")
        assert heard.endswith(b"#disconnect Device\\_server\\_shutting\\_down.\n")
        assert len(heard) > 7_000_000
        for client in (reads, deaf):
            await client.close()


async def test_long_arguments_arrive_whole_whoever_pauses() -> None:
    server = Talkative("127.0.0.1", 0, max_line=20 * MB, ssl_context=authority().server())
    server.add_sensor(Sensor.string("long", "Long."))
    async with serving(server):
        text = b"ab" * (4 * MB)
        server.get_sensor("long").set_value(text.decode())
        async with await tls_client(server.bind_address) as client:
            lines = await client.ask(b"?sensor-value[1] long", 30)
            assert lines[0].endswith(b" nominal " + text)
            assert lines[1] == b"!sensor-value[1] ok 1"
            assert (await client.ask(b"?nothing[2] " + text, 30))[-1].startswith(b"!nothing[2] inv")
