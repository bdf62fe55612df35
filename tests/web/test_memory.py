"""Connections inside of the process: as those of sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.server import Reception
from katcp.web._visitor import Gone, Visitor
from tests.helpers.serving import serving, until
from tests.web.plant import Oven


def visitor_of(device: Any, **options: Any) -> Visitor:
    return Visitor(Reception(device), ("10.1.2.3", 4567), **options)


async def test_it_is_a_client_with_the_address_of_the_visitor() -> None:
    async with serving(Oven("127.0.0.1", 0)) as device:
        visitor = visitor_of(device)
        answer = await visitor.request("client-list")
        assert answer.informs == [[b"10.1.2.3:4567"]]
        visitor.close()
        with pytest.raises(Gone):
            await visitor.request("watchdog")
        await until(lambda: device.statistics.clients == 0)


async def test_a_long_request_comes_in_whole() -> None:
    async with serving(Oven("127.0.0.1", 0)) as device:
        visitor = visitor_of(device)
        long = "x" * 500_000
        assert (await visitor.request("old-style", long)).arguments == [long.encode()]
        visitor.close()


async def test_what_is_under_way_ends_with_the_device() -> None:
    lost: list[str] = []
    async with serving(Oven("127.0.0.1", 0)) as device:
        visitor = visitor_of(device, on_lost=lost.append)
        waiting = asyncio.ensure_future(visitor.request("wait"))
        await visitor.request("watchdog")
    answer = await asyncio.wait_for(asyncio.gather(waiting, return_exceptions=True), 10)
    assert isinstance(answer[0], Gone) or not answer[0].ok
    assert lost == ["Device server shutting down."]


async def test_a_visitor_that_takes_nothing_is_dropped() -> None:
    device = Oven("127.0.0.1", 0, max_backlog=100_000)
    async with serving(device):
        lost: list[str] = []
        visitor = visitor_of(device, on_lost=lost.append)
        await visitor.request("watchdog")
        visitor.transport.hold()
        for _ in range(60):
            visitor.transport.say(b"?old-style " + b"x" * 10_000 + b"\n")
            device.mass_inform(_long_inform())
            await asyncio.sleep(0)
        visitor.transport.release()
        await until(lambda: device.statistics.clients == 0)
        assert lost
        assert device.statistics.clients_dropped_slow == 1


def _long_inform() -> Any:
    from katcp.protocol import Message

    return Message.inform("log", "error", "1", "root", "y" * 10_000)


async def test_nobody_comes_in_before_the_device_runs() -> None:
    with pytest.raises(RuntimeError):
        visitor_of(Oven("127.0.0.1", 0))
