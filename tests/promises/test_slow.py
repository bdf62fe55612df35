"""Clients that read slowly or never: bounded, spared what is out of date, at last dropped.

F7, F8, N2 and the slow one among the healthy.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from typing import Any

import pytest

from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers import figures
from tests.helpers.badnet import BadNet
from tests.helpers.guard import memory
from tests.helpers.plant import plant
from tests.helpers.serving import serving, small_client, talking, until
from tests.helpers.sizes import sizes
from tests.helpers.wire import WireClient
from tests.promises.test_network import Plain

pytestmark = pytest.mark.slow

MB = 1 << 20


class Talkative(AsyncDeviceServer):
    """A few sensors with values of a kilobyte."""

    announces_clients = False

    def setup_sensors(self) -> None:
        for i in range(5):
            self.add_sensor(Sensor.string(f"text.{i}", "A long text."))

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        self.reasons = [*getattr(self, "reasons", []), msg]
        return super().on_client_disconnect(conn, msg, connection_valid)

    def say(self, number: int) -> None:
        """Set all sensors to texts that begin with a number."""
        for sensor in self.get_sensors():
            sensor.set_value(f"{number} " + "x" * 1000)

    async def request_later(self, req: Any) -> None:
        """Answer when told to."""
        self.told = asyncio.get_running_loop().create_future()
        await self.told


NAMES = b"text.0,text.1,text.2,text.3,text.4"
VALUE = re.compile(rb"#sensor-status \S+ 1 text\.(\d) nominal (\d+)\\_x+$")


async def subscribe(client: WireClient, strategy: bytes = b"event") -> None:
    await client.send(b"?sensor-sampling[1] " + NAMES + b" " + strategy)
    while not (await client.line()).startswith(b"!sensor-sampling[1] ok"):
        pass


async def read_until(client: WireClient, number: int) -> dict[int, list[int]]:
    """Read until all sensors have a value; return the numbers of each."""
    numbers: dict[int, list[int]] = {i: [] for i in range(5)}
    while not all(seen and seen[-1] == number for seen in numbers.values()):
        match = VALUE.match(await client.line())
        assert match is not None
        numbers[int(match[1])].append(int(match[2]))
    return numbers


@pytest.mark.parametrize("strategy", [b"event", b"auto", b"event-rate 0 60"])
async def test_f8_readings_of_a_slow_subscriber_are_the_newest(strategy: bytes) -> None:
    async with serving(Talkative("127.0.0.1", 0, max_backlog=MB)) as server:
        client = await small_client(server)
        await subscribe(client, strategy)
        (connection,) = server._server.connections
        before = memory()
        for number in range(1500):  # 7 MB, of which the system takes some
            server.say(number)
            if number % 10 == 0:
                await asyncio.sleep(0)
            # No more than a quarter of the backlog, what is read at a time, and one of each.
            assert connection.unsent < MB // 4 + 2 * 256 * 1024
        grown = memory() - before
        assert grown < 4 * MB
        figures.note("memory grew by", grown / MB, "MB")
        numbers = await read_until(client, 1499)
        for seen in numbers.values():
            # In order, some left out, the last one not.
            assert seen == sorted(set(seen))
            assert len(seen) < 1400
        assert connection.spared == 5 * 1500 - sum(map(len, numbers.values()))
        # From here on it is up to date.
        server.say(3000)
        assert await read_until(client, 3000) == {i: [3000] for i in range(5)}
        await client.close()


async def test_f8_periods_too() -> None:
    server = Talkative("127.0.0.1", 0, max_backlog=MB)
    async with serving(server):
        server.say(0)
        client = await small_client(server)
        await subscribe(client, b"period 0.001")
        (connection,) = server._server.connections
        number = 0
        while not connection._held or connection._held.replaced < 1000:
            number += 1
            server.say(number)
            await asyncio.sleep(0.001)
        assert connection.unsent < MB
        await read_until(client, number)
        await client.close()


async def test_f8_what_is_no_reading_keeps_its_place() -> None:
    async with serving(Talkative("127.0.0.1", 0, max_backlog=MB)) as server:
        client = await small_client(server)
        await subscribe(client)
        await client.send(b"?later[5]")
        (connection,) = server._server.connections
        await until(lambda: hasattr(server, "told"))
        number = 0
        while not connection._held:
            number += 1
            server.say(number)
            await asyncio.sleep(0.0005)
        server.say(10_000)
        await asyncio.sleep(0.01)
        server.told.set_result(None)
        await until(lambda: b"!later[5] ok" in connection._held._lines.values())
        server.say(20_000)
        await asyncio.sleep(0.01)
        server.get_sensor("text.0").set_value("30000 x")
        lines: list[bytes] = []
        while not lines or not lines[-1].endswith(b"30000\\_x"):
            lines.append(await client.line())
        at = lines.index(b"!later[5] ok")
        # Nothing is lost that is no reading, and what is left is in the order of its making.
        assert not any(b" nominal 20000" in line for line in lines[:at])
        assert [line.split()[3] for line in lines[-5:]] == [
            b"text.1", b"text.2", b"text.3", b"text.4", b"text.0",
        ]  # fmt: skip
        assert all(b" 20000\\_x" in line for line in lines[-5:-1])
        await client.close()


async def test_f8_what_is_no_reading_is_bounded_all_the_same() -> None:
    server = Talkative("127.0.0.1", 0, max_backlog=MB)
    async with serving(server):
        client = await small_client(server)
        await subscribe(client)
        (connection,) = server._server.connections
        number = 0
        while not connection.closed:
            number += 1
            server.say(number)
            connection.send(b"#log info 1.0 x " + b"y" * 1000 + b"\n")
            assert connection.unsent <= MB
            await asyncio.sleep(0)
            assert number < 20_000
        await until(lambda: not server._server.connections)
        assert server.reasons == [f"Client too slow: more than {MB} bytes wait to be sent"]
        assert connection._held is None
        await client.close()


async def test_f8_closing_sends_what_was_held() -> None:
    async with serving(Talkative("127.0.0.1", 0, max_backlog=MB)) as server:
        server._server.DISCONNECT_TIMEOUT = 10
        client = await small_client(server)
        await subscribe(client)
        (connection,) = server._server.connections
        number = 0
        while not connection._held or connection._held.replaced < 100:
            number += 1
            server.say(number)
            await asyncio.sleep(0)
        connection.flush()
        connection.disconnect("enough")
        await read_until(client, number)
        assert await client.line() == b"#disconnect enough"
        assert await client.rest() == b""
        await client.close()


async def test_f8_a_pause_for_a_moment_misses_nothing() -> None:
    # The usual backlog: what does not fit the system's buffers, but is far from it.
    async with serving(Talkative("127.0.0.1", 0)) as server:
        client = await small_client(server)
        await subscribe(client)
        (connection,) = server._server.connections
        number = 0
        while connection.unsent < MB:
            number += 1
            server.say(number)
            await asyncio.sleep(0)
            connection.flush()
        numbers = await read_until(client, number)
        assert numbers == {i: list(range(1, number + 1)) for i in range(5)}
        assert connection.spared == 0
        await client.close()


async def test_n2_a_burst_that_just_fits_leaves_room_for_what_comes_next() -> None:
    async with serving(Talkative("127.0.0.1", 0, max_backlog=4 * MB)) as server:
        client = await small_client(server)
        await subscribe(client)
        (connection,) = server._server.connections
        number = 1000
        while not connection.write_blocked:
            for _ in range(20):
                server.say(number := number + 1)
            await asyncio.sleep(0.002)
        before = connection.unsent
        server.say(number := number + 1)
        await asyncio.sleep(0.01)
        for _ in range((4 * MB - connection.unsent) // (connection.unsent - before)):
            server.say(number := number + 1)  # all of them in one turn
        for _ in range(3):
            await asyncio.sleep(0.01)
            assert not connection.closed
            assert connection.unsent <= 4 * MB
            server.say(number := number + 1)
        for seen in (await read_until(client, number)).values():
            assert seen == sorted(set(seen))
        await client.close()


@sizes("bursts", 8, 1000)
async def test_n2_the_last_value_is_never_the_one_left_out(bursts: int) -> None:
    chance = random.Random(bursts)
    async with (
        serving(Talkative("127.0.0.1", 0, max_backlog=MB // 2)) as server,
        BadNet(server.bind_address) as net,
    ):
        client = await WireClient.connect(net.address)
        await subscribe(client)
        (connection,) = server._server.connections
        number = 0
        for _ in range(bursts):
            net.stall(net.down)
            for _ in range(chance.choice([1, 30, 300, 1500])):
                number += 1
                server.say(number)
                if chance.random() < 0.05:
                    await asyncio.sleep(0)
            if chance.random() < 0.5:
                await asyncio.sleep(0.002)
            net.go_on(net.down)
            for seen in (await read_until(client, number)).values():
                assert seen == sorted(set(seen))
        assert connection.spared > 0
        figures.note("readings", 5 * number)
        figures.note("left out for newer ones", connection.spared)
        await client.close()


@sizes("healthy_clients", 5, 100)
async def test_one_that_never_reads_among_the_healthy(healthy_clients: int) -> None:
    # Half of them before the slow one comes; both halves take a minute at the full size.
    updates, pace = (2000, 20_000) if healthy_clients < 100 else (120_000, 2000)
    names = b",".join(b"unit.%05d" % i for i in range(50))
    with plant(50) as factory:
        clients = [await WireClient.connect(factory.bind_address) for _ in range(healthy_clients)]
        for client in clients:
            await client.ask(b"?sensor-sampling[1] " + names + b" event")

        async def read(client: WireClient) -> bytes:
            # All are sent the same, so one of them is looked at.
            seen, lines = hashlib.sha256(), 0
            while lines < updates:
                data = await asyncio.wait_for(client.reader.read(MB), 60)
                seen.update(data)
                lines += data.count(b"\n")
                if client is clients[0]:
                    kept.append(data)
            return seen.digest()

        async def ask(probe: WireClient, answers: figures.Times, listening: Any) -> None:
            while not listening.done():
                with answers:
                    assert await probe.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
                await asyncio.sleep(0.05)

        async with talking(factory) as probe:  # type: ignore[arg-type]
            for who in ("none", "one"):
                if who == "one":
                    slow = await small_client(factory)
                    await slow.send(b"?sensor-sampling[1] " + names + b" event")
                kept: list[bytes] = []
                answers = figures.Times()
                assert (await probe.ask(b"?run[1] %d %d" % (pace, updates)))[-1] == b"!run[1] ok"
                before = factory.memory
                listening = asyncio.gather(*map(read, clients))
                await asyncio.wait_for(ask(probe, answers, listening), 600)
                heard = await listening
                grown = factory.memory - before
                # Nobody has missed one: of each sensor there is 1, 2, 3, ... in that order.
                assert set(heard) == {heard[0]}
                lines = b"".join(kept).splitlines()
                for number, line in enumerate(lines):
                    end = b" unit.%05d nominal %d" % (number % 50, number // 50 + 1)
                    assert line.endswith(end), "an update is missing"
                assert len(lines) == updates
                figures.note(f"updates to each, {who} slow", updates)
                answers.note(f"answers, {who} slow")
            # 8 MiB of backlog at most, and it was far from that.
            assert grown < 16 * MB
            figures.note("memory of the device grew by", grown / MB, "MB")
        for client in [*clients, slow]:
            await client.close()


@sizes("clients_that_never_read", 3, 10)
async def test_f7_who_asks_and_never_reads_is_not_served_ahead(
    clients_that_never_read: int,
) -> None:
    with plant(5000) as factory:
        before = factory.memory
        clients = []
        for _ in range(clients_that_never_read):
            client = await small_client(factory)
            client.writer.write(b"?sensor-list\n" * 300)
            clients.append(client)
        answers = figures.Times()
        async with talking(factory) as other:  # type: ignore[arg-type]
            for _ in range(200):
                with answers:
                    assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
            grown = factory.memory - before
            assert grown < clients_that_never_read * 4 * MB + 8 * MB
        answers.note("others' answers meanwhile")
        figures.note("memory of the device grew by", grown / MB, "MB")
        for client in clients:
            client.writer.transport.abort()
            await client.close()


async def test_f7_it_is_cut_off_when_it_has_taken_nothing_for_long(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Plain("127.0.0.1", 0, stall_timeout=0.2)) as server:
        client = await small_client(server)
        client.writer.write(b"?help\n" * 20_000)
        async with talking(server) as other:
            while len(server._server.connections) > 1:
                assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
        assert "took nothing for 0.2 s" in caplog.text
        await client.close()
