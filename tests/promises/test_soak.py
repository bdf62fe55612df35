"""Nothing is left behind, however often: connections, inspections, updates (L10, N1, soak)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.inspecting_client import InspectingClientAsync
from katcp.server import Sensor
from tests.helpers import figures
from tests.helpers.badnet import BadNet
from tests.helpers.guard import Guard
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import sizes
from tests.helpers.wire import WireClient
from tests.promises.test_network import Plain
from tests.promises.test_reconnect import quiet

pytestmark = pytest.mark.slow

MB = 1 << 20


@sizes("connects", 200, 10_000)
async def test_l10_connect_ask_disconnect(connects: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server:

        async def once(number: int) -> None:
            async with talking(server) as client:
                await client.send(b"?sensor-sampling[1] count.1 event")
                assert (await client.lines(2))[1] == b"!sensor-sampling[1] ok count.1 event"
                assert await client.ask(b"?add[2] %d 1" % number) == [
                    b"!add[2] ok %d" % (number + 1)
                ]

        async def some(count: int) -> None:
            for start in range(0, count, 10):
                await asyncio.gather(*(once(start + i) for i in range(min(10, count - start))))
            await until(lambda: not server._server.connections)

        await some(50)  # what is made once and kept is made now
        guard = Guard()
        await some(connects)
        assert server.accepted == 50 + connects
        await guard.check(memory=MB, objects=50)


@sizes("client_lives", 50, 5000)
async def test_l10_clients_that_start_and_stop(client_lives: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server:

        async def once() -> None:
            client = AsyncClient(*server.bind_address)
            client.set_ioloop()
            client.start()
            await client.until_protocol(timeout=10)
            reply, _ = await client.future_request(client_message())
            assert reply.reply_ok()
            client.stop()
            await client.until_stopped(timeout=10)

        for _ in range(20):
            await once()
        guard = Guard()
        for _ in range(client_lives):
            await once()
        await until(lambda: not server._server.connections)
        await guard.check(memory=MB, objects=50)


def client_message() -> Any:
    from katcp.protocol import Message

    return Message.request("add", 1, 2)


async def _inspect(address: tuple[str, int]) -> Any:
    client = InspectingClientAsync(*address, logger=quiet)
    client.set_sampling("count.1", "event")
    await client.connect()
    await client.until_synced(timeout=10)
    assert len(client.sensors) == 8
    client.stop()
    await client.until_stopped(timeout=10)
    return weakref.ref(client)


@sizes("inspections", 40, 1000)
async def test_inspecting_clients_leave_nothing(inspections: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server:
        for _ in range(10):
            await _inspect(server.bind_address)
        guard = Guard()
        clients = [await _inspect(server.bind_address) for _ in range(inspections)]
        await until(lambda: not server._server.connections)
        gc.collect()
        assert not any(client() for client in clients)
        clients.clear()
        await guard.check(memory=MB, objects=100)


@sizes("syncs", 40, 1000)
async def test_one_client_that_is_cut_off_over_and_over(syncs: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, BadNet(server.bind_address) as net:
        client = InspectingClientAsync(*net.address, logger=quiet)
        client.katcp_client.auto_reconnect_delay = 0.001
        client.max_resync_rate = 10000.0
        client.set_sampling("count.1", "event")
        await client.connect()

        async def some(count: int) -> None:
            for number in range(count):
                await client.until_synced(timeout=10)
                net.cut("rst" if number % 2 else "fin")
                await client.until_not_synced(timeout=10)
            await client.until_synced(timeout=10)
            await until(lambda: len(server._server.connections) == 1)

        await some(20)
        guard = Guard()
        await some(syncs)
        assert net.count == syncs + 21
        await guard.check(memory=MB, objects=100)
        client.stop()
        await client.until_stopped(timeout=10)


@sizes("numbered_updates", 6000, 3_000_000)
async def test_n1_event_sampling_is_every_update_in_order(numbered_updates: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, talking(server) as client:
        sensor = server.get_sensor("count.0")
        await client.ask(b"?sensor-sampling[1] count.0 event")

        read_to = 0

        async def read(first: int, last: int) -> None:
            nonlocal read_to
            for read_to in range(first, last + 1):
                line = await client.line(30)
                assert line.endswith(b" count.0 nominal %d" % read_to), (read_to, line)

        async def some(first: int, last: int) -> None:
            reader = asyncio.ensure_future(read(first, last))
            for number in range(first, last + 1):
                sensor.set_value(number)
                if number % 200 == 0:
                    # It keeps up, as one that is in another process would.
                    while number - read_to > 2000 and not reader.done():  # noqa: ASYNC110
                        await asyncio.sleep(0)
            await asyncio.wait_for(reader, 60)

        await some(1, 2000)
        guard = Guard()
        await some(2001, 2000 + numbered_updates)
        await guard.check(memory=MB, objects=50)


@sizes("sensors_that_come_and_go", 1000, 200_000)
async def test_sensors_that_come_and_go_leave_nothing(sensors_that_come_and_go: int) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, talking(server) as client:

        async def some(count: int) -> None:
            for number in range(count):
                server.add_sensor(Sensor.integer("guest", "Comes and goes.", "1"))
                if number % 50 == 0:
                    await client.send(b"?sensor-sampling[%d] guest event" % (number + 1))
                    while not (await client.line()).startswith(
                        b"!sensor-sampling[%d]" % (number + 1)
                    ):
                        pass
                server.remove_sensor("guest")
            assert (await client.ask(b"?watchdog[9]"))[-1] == b"!watchdog[9] ok"

        await some(300)
        guard = Guard()
        await some(sensors_that_come_and_go)
        await guard.check(memory=MB, objects=50)


@sizes("idle_clients", 100, 1000)
async def test_l3_idle_clients_cost_little(idle_clients: int) -> None:
    from tests.helpers.plant import plant

    with plant(20) as factory:
        before, files = factory.memory, factory.files
        clients = [await WireClient.connect(factory.bind_address) for _ in range(idle_clients)]
        grown = factory.memory - before
        assert grown / idle_clients < 64 * 1024
        figures.note("each takes", grown / idle_clients / 1024, "kB")
        begun = factory.cpu
        await asyncio.sleep(0.5)
        # None of them has a timer of its own: they cost nothing while they say nothing.
        used = factory.cpu - begun
        assert used < 0.1
        figures.note("all together:", 100 * used / 0.5, "% of a core")
        await asyncio.gather(*(client.close() for client in clients))
        await until(lambda: factory.files <= files)
