"""Replies that are lists: informs of the request's name, then their number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from katcp.protocol import Message, MessageParser
from katcp.server._connection import ClientConnection
from katcp.server._request import WireRequest

#: Informs, and bytes, that are written without giving others a turn in between.
CHUNK = 1000
CHUNK_BYTES = 256 * 1024


def send_list(req: Any, tails: Sequence[bytes]) -> Any:
    r"""Send an inform for each of `tails`, and return the reply, or a coroutine of it.

    Parameters
    ----------
    req : ClientRequestConnection
    tails : sequence of bytes
        What follows name and id on each line: ``b" ARGUMENT...\n"``. They must all have been
        taken at one time, so that their number is right.
    """
    if type(req) is not WireRequest:
        for tail in tails:  # of a connection that takes messages, not lines
            req.inform(*MessageParser().parse(b"#x" + tail.rstrip(b"\n")).arguments)
        return req.make_reply("ok", len(tails))
    if len(tails) <= CHUNK:
        lines = req.lines_of_informs(tails)
        if len(lines) <= _most_bytes(req):
            if tails:
                req.client_connection.send(lines)
            return req.make_reply("ok", len(tails))
    return _send_in_pieces(req, tails)


async def _send_in_pieces(req: WireRequest, tails: Sequence[bytes]) -> Message:
    start, size = 0, CHUNK
    most = _most_bytes(req)
    while start < len(tails):
        lines = req.lines_of_informs(tails[start : start + size])
        if len(lines) > most and size > 1:
            size = max(1, size * most // len(lines) // 2)
            continue
        req.client_connection.send(lines)
        start += size
        await give_way(req.client_connection)
    return req.make_reply("ok", len(tails))


def _most_bytes(req: WireRequest) -> int:
    # A list alone must never make a client look slow.
    backlog: int = req.client_connection.max_backlog
    return min(CHUNK_BYTES, backlog // 4)


async def give_way(connection: ClientConnection) -> None:
    """Write what waits; go on when the client has taken it and others have had a turn."""
    connection.flush()
    if connection.write_blocked:
        await connection.until_writable()
    else:
        await asyncio.sleep(0)
