"""Devices that come and go: silent ones, killed ones, ones with a thousand clients.

F2, F3, F13, F21 and the storm.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.inspecting_client import InspectingClientAsync
from tests.helpers import figures
from tests.helpers.guard import Guard
from tests.helpers.inspecting import Told
from tests.helpers.plant import plant
from tests.helpers.scripted import Device, Server, Session
from tests.helpers.serving import Bare, serving, talking, until
from tests.helpers.sizes import WHOLE, sizes
from tests.promises.test_network import added_up

pytestmark = pytest.mark.slow

quiet = logging.getLogger("tests.quiet")
quiet.setLevel(logging.CRITICAL)


def make(address: tuple[str, int], told: Told | None = None, **kwargs: Any) -> Any:
    """Return an inspecting client that is quick to try again."""
    client = InspectingClientAsync(*address, logger=quiet, **kwargs)
    client.katcp_client.auto_reconnect_delay = 0.01
    client.initial_resync_timeout = 0.05
    client.max_resync_timeout = 0.5
    client.max_resync_rate = 1000.0
    if told is not None:
        client.set_state_callback(told)
    return client


async def stop(clients: list[Any]) -> None:
    for client in clients:
        client.stop()
    await asyncio.gather(*(client.until_stopped(timeout=30) for client in clients))


# -- a device that says nothing -------------------------------------------------------------------


@sizes("silent_devices", 64, 64)
async def test_f3_who_never_greets_is_not_taken_for_synced(silent_devices: int) -> None:
    async def say_nothing(session: Session) -> None:
        await session.until_closed()

    async with Server(say_nothing) as silent:
        told = [Told() for _ in range(silent_devices)]
        clients = [make((silent.host, silent.port), t, heartbeat=0.05) for t in told]
        for client in clients:
            client.katcp_client.greeting_timeout = 60.0
            await client.connect()
        try:
            # All of them are given up and tried again ...
            await until(lambda: silent.count >= 3 * silent_devices)
        finally:
            await stop(clients)
        # ... and none of them ever counted as one of which it is known what it speaks.
        assert not any(set(t.story) & set("MNS") for t in told)


# -- a device that is killed ----------------------------------------------------------------------


@sizes("kills", 3, 500)
async def test_f13_killed_at_any_moment(kills: int) -> None:
    chance = random.Random(kills)
    guard = Guard()
    told = Told()
    with plant(300) as factory:
        client = make(factory.bind_address, told)
        client.set_sampling("unit.00007", "event")
        await client.connect()
        await client.until_synced(timeout=20)
        waiters = []
        for _ in range(kills):
            # Counted in what has happened, not in time: in the middle of an inspection, or after.
            waiters.append(asyncio.ensure_future(client.simple_request("wait", 0.01, timeout=20)))
            await asyncio.sleep(chance.choice([0, 0.001, 0.005, 0.02]))
            factory.kill()
            factory.start(wait=chance.random() < 0.7)
            if chance.random() < 0.7:
                await asyncio.wait_for(client.until_connected(), 30)
            if chance.random() < 0.3:
                await client.until_synced(timeout=30)
        while not (await client.simple_request("wait", 0.01))[0].reply_ok():
            pass
        await client.until_synced(timeout=30)
        reply, _ = await client.simple_request("run", 10000, 300)
        assert reply.reply_ok(), reply
        # It has the strategy still, so it sees the value that the sensor gets now.
        sensor = await client.future_get_sensor("unit.00007")
        await until(lambda: sensor.value() == 1)
        assert set(client.sensors) == {f"unit.{i:05d}" for i in range(300)}
        assert added_up(told) == {"sensors": set(client.sensors), "requests": set(client.requests)}
        # No waiter hangs, and every request has come to one end.
        for reply, _ in await asyncio.wait_for(asyncio.gather(*waiters), 30):
            assert reply.reply_ok() or len(reply.arguments) == 2
        await stop([client])
    await guard.check()


# -- a thousand at once ---------------------------------------------------------------------------


@sizes("inspecting_clients", 40, 1000)
@pytest.mark.parametrize("outage", [0.0, pytest.param(15.0, marks=WHOLE)])
async def test_f2_all_come_back_after_a_restart(inspecting_clients: int, outage: float) -> None:
    guard = Guard()
    with plant(20) as factory:
        clients = []
        for _ in range(inspecting_clients):
            client = InspectingClientAsync(*factory.bind_address, logger=quiet)
            client.set_sampling("unit.00003", "event")
            await client.connect()
            clients.append(client)
        for client in clients:
            await client.until_synced(timeout=60)
        factory.kill()
        await asyncio.gather(*(client.until_not_synced(timeout=30) for client in clients))
        await asyncio.sleep(outage)
        factory.start()
        with (taken := figures.Times()):
            await asyncio.gather(*(client.until_synced(timeout=60) for client in clients))
        figures.note("all in step again after", taken.seconds[0], "s")
        async with talking(factory) as probe:  # type: ignore[arg-type]
            busiest = int((await probe.ask(b"?busiest[1]"))[-1].split()[-1])
            assert int((await probe.ask(b"?clients[2]"))[-1].split()[-1]) == inspecting_clients + 1
            await probe.ask(b"?run[3] 10000 20")
        figures.note("in the busiest second after the first", busiest, "connections")
        if outage:
            assert busiest <= max(20, inspecting_clients // 5), "they are not spread"
        for client in clients:
            sensor = await client.future_get_sensor("unit.00003")
            await until(lambda sensor=sensor: sensor.value() == 1, timeout=30)
        await stop(clients)
    await guard.check()


def test_f2_attempts_are_spread_and_become_rarer() -> None:
    delays = []
    for _ in range(200):
        client = AsyncClient("127.0.0.1", 1)
        delays.append([client._delay() for _ in range(40)])
    first = sorted(row[0] for row in delays)
    # The first attempt comes within half a second, and not all of them at the same moment.
    assert 0.125 <= first[0] < 0.2 < 0.4 < first[-1] <= 0.5
    # It stays so for a while, as a device that is only restarted is soon back.
    assert all(0.125 <= delay <= 0.5 for row in delays for delay in row[:20])
    # Whoever has tried in vain for long tries every few seconds, still not together.
    late = sorted(row[-1] for row in delays)
    assert 3.75 <= late[0] < 6 < 13 < late[-1] <= 15
    # So a thousand of them are less than 200 attempts in a second ...
    assert 1000 / (sum(late) / len(late)) < 200
    # ... from the first such wait on: whoever finds the device back in the second or third second
    # has not waited for less.
    assert all(delay <= 0.5 or delay >= 3.75 for row in delays for delay in row)


async def test_f2_nobody_spins_while_the_device_is_away() -> None:
    with socket.socket() as anchor:
        anchor.bind(("127.0.0.1", 0))
        client = AsyncClient(*anchor.getsockname())
        client.auto_reconnect_delay = 0.01
        attempts = 0
        connect = client._connect

        def count() -> Any:
            nonlocal attempts
            attempts += 1
            return connect()

        client._connect = count  # type: ignore[method-assign]
        client.set_ioloop()
        client.start()
        await asyncio.sleep(0.5)
        # Twenty, a hundredth of a second apart at most, and the rest rarely.
        assert 2 <= attempts <= 32
        client.stop()
        await client.until_stopped(timeout=5)


async def test_f2_a_device_that_was_found_is_tried_soon_again() -> None:
    async with Device() as device:
        client = AsyncClient(device.host, device.port)
        client.set_ioloop()
        for _ in range(20):
            client._delay()
        assert client._delay() > 0.5
        client.start()
        await client.until_protocol(timeout=5)
        assert client._delay() <= 0.5
        client.stop()
        await client.until_stopped(timeout=5)


# -- names of hosts -------------------------------------------------------------------------------


async def test_f21_a_name_is_looked_up_anew_at_each_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    lookup = loop.getaddrinfo
    asked: list[str] = []

    async with serving(Bare("127.0.0.1", 0)) as old, serving(Bare("127.0.0.1", 0)) as new:
        where = old

        async def getaddrinfo(host: Any, port: Any, **kwargs: Any) -> Any:
            asked.append(host)
            if host == "device.example":
                host, port = where.bind_address
            return await lookup(host, port, **kwargs)

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        client = make(("device.example", 7147))
        await client.connect()
        await client.until_synced(timeout=10)
        assert len(old._server.connections) == 1
        where = new
        await old.stop()
        await client.until_not_synced(timeout=10)
        await client.until_synced(timeout=10)
        assert len(new._server.connections) == 1
        assert asked.count("device.example") >= 2
        await stop([client])


async def test_f21_the_second_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    async with serving(Bare("127.0.0.1", 0)) as server:

        async def getaddrinfo(host: Any, port: Any, **kwargs: Any) -> Any:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                dead = sock.getsockname()
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, dead), (*kind, server.bind_address)]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        client = make(("device.example", 7147))
        await client.connect()
        await client.until_synced(timeout=10)
        await stop([client])


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this host has no IPv6")
@pytest.mark.parametrize(("listen", "connect"), [("::1", "::1"), ("", "::1"), ("", "127.0.0.1")])
async def test_f21_ipv6_and_both(listen: str, connect: str) -> None:
    async with serving(Bare(listen, 0)) as server:
        client = make((connect, server.bind_address[1]))
        await client.connect()
        await client.until_synced(timeout=10)
        await stop([client])
