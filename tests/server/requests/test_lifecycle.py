"""``?halt`` and ``?restart``."""

from __future__ import annotations

import asyncio
import queue
import time
from typing import Any

import pytest

from katcp.protocol import Message
from tests.helpers.serving import Bare, BareThreaded, serving, still_serves, talking, until

GOODBYE = b"#disconnect Device\\_server\\_shutting\\_down.\n"


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_halt(kind: Any) -> None:
    server = kind("127.0.0.1", 0)
    server.start(timeout=10)
    async with talking(server) as client, talking(server) as other:
        await client.send(b"?halt[44] surplus")
        assert await client.rest() == b"!halt[44] ok\n" + GOODBYE
        assert await other.rest() == GOODBYE
        await until(lambda: not server.running())
    await asyncio.wait_for(server.stop(), 10)
    server.join(10)
    # The port is free, so that it can be had again at once.
    async with serving(server):
        await still_serves(server)


async def test_halt_twice_and_with_requests_under_way() -> None:
    class Device(Bare):
        async def request_wait(self, req: Any) -> None:
            """Wait for ever."""
            await asyncio.sleep(3600)

    server = Device("127.0.0.1", 0)
    server.start()
    async with talking(server) as client, talking(server) as other:
        await other.send(b"?wait[5]")
        await until(lambda: server.katcp_under_way)
        await client.send(b"?halt[1]", b"?halt[2]")
        assert (await client.rest()).startswith(b"!halt[1] ok\n!halt[2] ok\n" + GOODBYE)
        assert await other.rest() == b"!wait[5] fail request_cancelled\n" + GOODBYE
    await server.stop()
    assert not server.running()


async def test_halt_overridden_in_the_handler_thread() -> None:
    class Device(BareThreaded):
        def request_halt(self, req: Any, msg: Message) -> Any:
            """Halt, if asked politely."""
            if msg.arguments != [b"please"]:
                return ("fail", "Say please.")
            reply = super().request_halt(req, msg)
            time.sleep(0.05)  # however long it takes, the reply comes first
            return reply

    server = Device("127.0.0.1", 0)
    server.start(timeout=10)
    async with talking(server) as client:
        assert await client.ask(b"?halt") == [b"!halt fail Say\\_please."]
        await client.send(b"?halt please")
        assert await client.rest() == b"!halt ok\n" + GOODBYE
    server.join(10)
    assert not server.running()


async def test_restart_puts_the_server_in_a_queue() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?restart[1]") == [
            b"!restart[1] fail No\\_restart\\_queue\\_registered\\_--\\_cannot\\_restart."
        ]
        restarts: Any
        for restarts in (queue.Queue(), asyncio.Queue()):
            server.set_restart_queue(restarts)
            assert await client.ask(b"?restart[2]") == [b"!restart[2] ok"]
            assert restarts.get_nowait() is server
        server.set_restart_queue(None)
        assert (await client.ask(b"?restart"))[0].startswith(b"!restart fail")


async def test_restart_as_an_application_does_it() -> None:
    server = Bare("127.0.0.1", 0)
    restarts: asyncio.Queue[Any] = asyncio.Queue()
    server.set_restart_queue(restarts)
    server.start()
    address = server.bind_address
    async with talking(server) as client:
        await client.send(b"?restart")
        assert await client.line() == b"!restart ok"
        device = await restarts.get()
        await device.stop()
        assert await client.rest() == GOODBYE
        device.start()
    assert server.bind_address == address
    await still_serves(server)
    await server.stop()
