from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from katcp.client._link import Link
from katcp.errors import KatcpClientError
from katcp.transport import Pump
from tests.helpers.scripted import Server, Session, until


class Owner:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def link_opened(self, link: Link) -> None:
        self.told.append("opened")

    def link_received(self, events: list[Any]) -> None:
        self.told += [(event.name, event.arguments) for event in events]

    def link_lost(self, link: Link, reason: str) -> None:
        self.told.append("lost")


async def connect(server: Server, owner: Owner, limit: int = 2**20) -> Link:
    loop = asyncio.get_running_loop()
    link = Link(owner, Pump(loop), 2**20, limit)
    await loop.create_connection(lambda: link, server.host, server.port)
    return link


async def echo(session: Session) -> None:
    while True:
        session.say(b"#heard " + (await session.hear())[1:])


async def test_lines_there_and_back() -> None:
    owner = Owner()
    async with Server(echo) as server:
        link = await connect(server, owner)
        link.send(b"?a\n")
        link.send(b"?b\n")
        link.send(b"?c\n")
        await until(lambda: len(owner.told) == 4)
        assert owner.told == ["opened", *((b"heard", [x]) for x in (b"a", b"b", b"c"))]
        link.close()
        await link.gone
        assert owner.told[-1] == "lost"
        link.send(b"?late\n")  # nobody is there to get it, and nobody minds


async def test_the_first_line_of_a_turn_goes_out_at_once_and_the_rest_together() -> None:
    written: list[bytes] = []

    async with Server(echo) as server:
        link = await connect(server, Owner())
        real = link.transport

        class Spy:
            def write(self, data: bytes) -> None:
                written.append(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        link.transport = Spy()
        link.send(b"?a\n")
        assert written == [b"?a\n"]
        link.send(b"?b\n")
        link.send(b"?c\n")
        assert written == [b"?a\n"]
        await asyncio.sleep(0)
        assert written == [b"?a\n", b"?b\n?c\n"]
        link.send(b"?d\n")
        assert written[2:] == [b"?d\n"]
        link.drop()
        await link.gone


async def test_too_much_for_a_device_that_does_not_read_is_refused() -> None:
    async def deaf(session: Session) -> None:
        session.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    async with Server(deaf) as server:
        link = await connect(server, Owner(), limit=10**6)
        line = b"?fill " + b"x" * 10**5 + b"\n"

        async def fill() -> None:
            for _ in range(1000):
                link.send(line)
                await asyncio.sleep(0)

        with pytest.raises(KatcpClientError, match="wait to be sent"):
            await fill()
        assert link.unsent > 10**6
        link.max_write_buffer_size = 10**9
        link.send(line)
        link.drop()
        await link.gone


async def test_limits_can_be_changed() -> None:
    link = Link(Owner(), Pump(asyncio.get_running_loop()), 1000, 2000)
    assert link.max_buffer_size == 1000
    link.max_buffer_size = 5000
    assert link.parser.max_line == 5000
    assert link.max_write_buffer_size == 2000


async def test_a_connection_to_itself_is_recognised() -> None:
    # Both ends on one port: what the kernel may make of trying a port that nobody listens on.
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, sock.getsockname())
    link = Link(Owner(), Pump(loop), 1000, 2000)
    await loop.create_connection(lambda: link, sock=sock)
    assert link.to_itself
    link.drop()
    await link.gone
    async with Server(echo) as server:
        link = await connect(server, Owner())
        assert not link.to_itself
        link.drop()
        await link.gone
