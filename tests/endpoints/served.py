"""Endpoints on a device that a client of plain lines talks to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from katcp.endpoints import AsyncEndpointServer, Endpoint
from katcp.protocol import MessageParser
from tests.helpers.serving import serving, talking
from tests.helpers.wire import WireClient

_parse = MessageParser().parse


def parse_line(line: bytes) -> list[bytes]:
    """Return the arguments of a line, unescaped."""
    return list(_parse(line).arguments)


@contextlib.asynccontextmanager
async def served(
    *endpoints: Endpoint, **options: Any
) -> AsyncIterator[tuple[AsyncEndpointServer, WireClient]]:
    """Serve endpoints; give the device and a client of it."""
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=endpoints, **options)
    async with serving(server), talking(server) as client:
        yield server, client


async def reply(client: WireClient, request: bytes) -> list[bytes]:
    """Make a request; return the arguments of its reply, unescaped."""
    lines = await client.ask(request)
    return parse_line(lines[-1])


async def informs(client: WireClient, request: bytes) -> list[list[bytes]]:
    """Make a request; return the arguments of its informs, without message id, and its reply."""
    lines = await client.ask(request)
    return [parse_line(line) for line in lines]


async def told(client: WireClient, name: bytes, count: int = 1) -> list[list[bytes]]:
    """Return the arguments of the next informs of a name; what else comes is passed over."""
    found: list[list[bytes]] = []
    while len(found) < count:
        line = await client.line()
        if line.split(b" ")[0] == b"#" + name:
            found.append(parse_line(line))
    return found
