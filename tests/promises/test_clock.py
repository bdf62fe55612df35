"""F14: the wall clock steps, and devices tell impossible times; only timestamps are disturbed."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from typing import Any

import pytest

from katcp.aio import ExponentialRandomBackoff, WaitTimeout
from katcp.client import AsyncClient, Message
from katcp.server import AsyncDeviceServer, Sensor
from tests.fuzz._ends import (
    REQUESTS,
    SENSORS,
    V51,
    FuzzedInspector,
    MemoryLink,
    Peer,
    connect,
    said,
)
from tests.helpers.inspecting import inspecting
from tests.helpers.scripted import Device
from tests.helpers.serving import serving, talking, until

STEPS = [1.0, -1.0, 3600.0, -3600.0, 86400.0, -86400.0, -1.6e9]
ODD_TIMES = [
    math.nan,
    math.inf,
    -math.inf,
    -1.0,
    -1e18,
    0.0,
    1e300,
    253402300800.0,
    1e-300,
    2.0**63,
]


class WallClock:
    """In place of `time.time`: goes on as it did, and steps when told to."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.offset = 1.6e9

    def __call__(self) -> float:
        return self._loop.time() + self.offset


@pytest.fixture
def wall_clock(io_loop: Any, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    clock = WallClock(io_loop.asyncio_loop)
    monkeypatch.setattr(time, "time", clock)
    return clock


class Plain(AsyncDeviceServer):
    """Has a few sensors."""

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("i"))
        self.add_sensor(Sensor.float("f"))


async def in_memory() -> tuple[Plain, Peer]:
    """Return a server without sockets, and a client of it."""
    server = Plain("127.0.0.1", 0)
    server._server.open_sockets = list  # type: ignore[method-assign,assignment]
    server.start()
    peer = Peer()
    connect(asyncio.get_running_loop(), peer, server._server.make_connection())
    return server, peer


def statuses(peer: Peer) -> list[tuple[float, float]]:
    """Return (timestamp of the inform, value) of each update."""
    lines = [line.split(b" ") for line in bytes(peer.data).split(b"\n")]
    return [(float(w[1]), float(w[5])) for w in lines if w[0] == b"#sensor-status"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", STEPS)
async def test_f14_periods_are_kept_when_the_wall_clock_steps(
    step: float, wall_clock: WallClock
) -> None:
    server, peer = await in_memory()
    peer.say(b"?sensor-sampling i period 0.5\n")
    await asyncio.sleep(10.1)
    before = len(statuses(peer))
    wall_clock.offset += step
    server.get_sensor("i").set_value(7)
    await asyncio.sleep(10)
    after = statuses(peer)
    assert 20 <= before <= 22
    assert len(after) - before == 20
    assert after[-1][1] == 7
    # It is the timestamps that are disturbed.
    assert after[-1][0] - after[0][0] == pytest.approx(step + 10, abs=1)
    await server.stop()


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "strategy", [b"i event-rate 1 5", b"f differential-rate 0.5 1 5", b"i event-rate 1 1000"]
)
async def test_f14_rates_are_kept_when_the_wall_clock_steps(
    strategy: bytes, step: float, wall_clock: WallClock
) -> None:
    server, peer = await in_memory()
    peer.say(b"?sensor-sampling " + strategy + b"\n")
    sensor = server.get_sensor(strategy[:1].decode())
    for value in range(100):
        if value == 50:
            wall_clock.offset += step
        sensor.set_value(value)
        await asyncio.sleep(0.1)
    seen = statuses(peer)
    assert 10 <= len(seen) <= 13, "one a second"
    values = [value for _, value in seen]
    assert values == sorted(values)
    if not strategy.endswith(b"1000"):
        count = len(seen)
        await asyncio.sleep(20)
        assert 4 <= len(statuses(peer)) - count <= 6, "and one each five seconds at least"
    await server.stop()


class Linked(MemoryLink, AsyncClient):
    """A client whose device is in memory, and does not greet."""


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", STEPS)
async def test_f14_time_limits_and_backoff_are_kept_when_the_wall_clock_steps(
    step: float, wall_clock: WallClock
) -> None:
    loop = asyncio.get_running_loop()
    client = Linked("memory", 7147, reconnect_backoff=ExponentialRandomBackoff(2, 2, 1.01, 0.001))
    client.heard = lambda line: None  # type: ignore[method-assign]
    client.set_ioloop()
    client.start()
    await client.until_connected()
    client.peer.say(V51)
    await client.until_protocol(timeout=5)
    begun = loop.time()
    asked = client.future_request(Message.request("watchdog"), timeout=7)
    waiting = client.until_connected()
    await asyncio.sleep(1)
    wall_clock.offset += step
    reply, _ = await asked
    assert not reply.reply_ok()
    assert loop.time() - begun == pytest.approx(7, abs=0.1)
    await waiting
    # The wait before it connects again.
    begun = loop.time()
    first = client.peer
    first.hang_up()
    await asyncio.sleep(0.1)
    wall_clock.offset += step
    while client.peer is first:
        await asyncio.sleep(0.01)
        assert loop.time() - begun < 10
    assert loop.time() - begun <= 2.5
    begun = loop.time()
    waiting = client.until_protocol(timeout=1.5)
    wall_clock.offset += step
    with pytest.raises(WaitTimeout):
        await waiting
    assert loop.time() - begun == pytest.approx(1.5, abs=0.1)
    client.stop()
    await client.until_stopped()


@pytest.mark.virtual_time
@pytest.mark.parametrize("step", STEPS)
async def test_f14_inspections_come_on_time_when_the_wall_clock_steps(
    step: float, wall_clock: WallClock
) -> None:
    client = FuzzedInspector("memory", 7147)
    client.initial_resync_timeout = client.max_resync_timeout = 4
    below: Any = client.katcp_client
    loop = asyncio.get_running_loop()
    asked: list[float] = []
    refuse = True

    def heard(line: bytes) -> None:
        request = line[1:].split(b" ")[0].split(b"[")[0]
        if request == b"help":
            asked.append(loop.time())
            if refuse:
                below.peer.say(said(line, b"! fail not\\_now"))
                return
        table = {b"sensor-list": SENSORS, b"help": REQUESTS}.get(request, {})
        lines = [b"# %b %b" % item for item in table.items()]
        below.peer.say(said(line, b"\n".join([*lines, b"! ok %d" % len(lines)])))

    below.heard = heard
    client.connect()
    await below.until_connected()
    below.peer.say(V51)
    await asyncio.sleep(30)
    wall_clock.offset += step
    await asyncio.sleep(30)
    waits = [b - a for a, b in itertools.pairwise(asked)]
    assert len(waits) >= 8
    assert max(waits) <= 8.1
    refuse = False
    await client.until_synced(timeout=10)
    client.stop()
    await client.until_stopped(timeout=5)


# -- impossible times -----------------------------------------------------------------------------


@pytest.mark.parametrize("when", ODD_TIMES, ids=repr)
async def test_f14_a_sensor_set_with_an_impossible_time_is_served_all_the_same(
    when: float,
) -> None:
    async with serving(Plain("127.0.0.1", 0)) as server, talking(server) as client:
        for strategy in (
            b"event",
            b"period 0.01",
            b"differential 1",
            b"event-rate 0 1",
            b"differential-rate 1 0 1",
            b"auto",
        ):
            await client.ask(b"?sensor-sampling[1] i " + strategy)
            sensor = server.get_sensor("i")
            for value in range(5):
                sensor.set(when, Sensor.NOMINAL, value)
            sensor.set_value(1000)
            heard = b""
            while not heard.endswith(b" i nominal 1000"):
                heard = await client.line()
            *_, reply = await client.ask(b"?sensor-sampling[2] i none")
            assert reply.startswith(b"!sensor-sampling[2] ok")
            sensor.set(when, Sensor.NOMINAL, 5)
            lines = await client.ask(b"?sensor-value[3] i")
            assert lines[-1] == b"!sensor-value[3] ok 1"
            assert lines[-2].split(b" ")[3] == b"i"


async def test_f14_impossible_times_from_a_device() -> None:
    times = [b"nan", b"inf", b"-inf", b"-1", b"-1e999", b"1e999", b"1e300", b"9" * 400, b"\\@"]
    times += [b"now", b"x", b"\xff", b"0x10", b"1_0", b"253402300800", b"18446744073709551616"]
    greeting = (b"#version-connect katcp-protocol 5.1-BIMT",)
    async with Device(greeting, {"a": "A. V integer"}) as dev, inspecting(dev) as client:
        a = await client.future_get_sensor("a")
        client.set_sampling("a", "event")
        await until(lambda: a.value() == 3)
        for number, when in enumerate(times):
            dev.say(b"#sensor-status %b 1 a nominal %d" % (when, 100 + number))
            dev.say(b"#sensor-status 1600000000.5 1 a nominal %d" % (200 + number))
            await until(lambda wanted=200 + number: a.value() == wanted)
            assert a.read().timestamp == 1600000000.5
        assert client.synced
        assert dev.count == 1
