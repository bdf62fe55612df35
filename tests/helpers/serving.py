"""Servers and connections that end with the block they are made in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from katcp.server import AsyncDeviceServer, DeviceServer, DeviceServerBase
from tests.helpers.wire import WireClient


class Bare(AsyncDeviceServer):
    """A device without sensors, in the loop of the test."""

    announces_clients = False

    def setup_sensors(self) -> None:
        pass


class BareThreaded(DeviceServer):
    """A device without sensors, with a loop and a handler thread of its own."""

    announces_clients = False

    def setup_sensors(self) -> None:
        pass


@contextlib.asynccontextmanager
async def serving(server: Any) -> AsyncIterator[Any]:
    """Start a server; stop it at the end of the block."""
    server.start(timeout=10)
    try:
        yield server
    finally:
        await asyncio.wait_for(server.stop(), 10)
        server.join(10)


@contextlib.contextmanager
def serving_in_thread(server: Any) -> Iterator[Any]:
    """Start a server that has its own loop, for tests that have none; stop it at the end."""
    server.start(timeout=10)
    try:
        yield server
    finally:
        server.stop().result(10)
        server.join(10)


@contextlib.asynccontextmanager
async def talking(
    server: DeviceServerBase, *, greeting: int | None = None
) -> AsyncIterator[WireClient]:
    """Connect to a server, and read away its greeting of as many lines as its version has."""
    host, port = server.bind_address
    if greeting is None:
        greeting = 3 if server.PROTOCOL_INFO.major >= 5 else 2
    async with await WireClient.connect((host or "127.0.0.1", port), greeting=greeting) as client:
        yield client


async def until(condition: Callable[[], Any], timeout: float = 10) -> None:
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come about"
        await asyncio.sleep(0.005)


async def still_serves(server: DeviceServerBase) -> None:
    """Connect anew and do what a well-behaved client does."""
    async with talking(server) as client:
        assert await client.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]


async def small_client(server: Any, size: int = 4096) -> WireClient:
    """Connect by a socket that takes little before the sender notices."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server.bind_address)
    reader, writer = await asyncio.open_connection(sock=sock, limit=2**17)
    client = WireClient(reader, writer)
    for _ in range(3):
        await client.line()
    return client


async def swallow(client: WireClient, end: bytes) -> int:
    """Read until what was read ends with `end`; return how many bytes that was."""
    count, last = 0, b""
    while not last.endswith(end):
        data = await asyncio.wait_for(client.reader.read(1_000_000), 10)
        assert data, "the stream has ended"
        count += len(data)
        last = (last + data)[-len(end) :]
    return count
