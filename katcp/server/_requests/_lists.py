"""Replies that are lists: informs of the request's name, then their number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from katcp.protocol import Message, MessageParser
from katcp.server._connection import ClientConnection
from katcp.server._request import WireRequest

#: Informs, and bytes, that are written without giving others a turn in between.
CHUNK = 1000
CHUNK_BYTES = 256 * 1024


def send_list(
    req: Any,
    items: Sequence[Any],
    encode: Callable[[Sequence[Any]], Sequence[bytes]] = lambda tails: tails,
    at_once: int = CHUNK,
) -> Any:
    r"""Send an inform for each of `items`, and return the reply, or a coroutine of it.

    Parameters
    ----------
    req : ClientRequestConnection
    items : sequence
        Their number is in the reply, so they must all have been taken at one time.
    encode : function, optional
        Makes of some items what follows name and id on each line: ``b" ARGUMENT...\n"``. It is
        called for a piece of a long list when that is sent (the readings of 100,000 sensors at
        once would take 150 ms); if not given, the items are such bytes.
    at_once : int, optional
        How many items make a piece.
    """
    if type(req) is not WireRequest:
        for tail in encode(items):  # of a connection that takes messages, not lines
            req.inform(*MessageParser().parse(b"#x" + tail.rstrip(b"\n")).arguments)
        return req.make_reply("ok", len(items))
    if len(items) <= at_once:
        lines = req.lines_of_informs(encode(items))
        if len(lines) <= _most_bytes(req):
            if items:
                req.client_connection.send(lines)
            return req.make_reply("ok", len(items))
    return _send_in_pieces(req, items, encode, at_once)


async def _send_in_pieces(
    req: WireRequest,
    items: Sequence[Any],
    encode: Callable[[Sequence[Any]], Sequence[bytes]],
    at_once: int,
) -> Message:
    start, size = 0, at_once
    most = _most_bytes(req)
    while start < len(items):
        lines = req.lines_of_informs(encode(items[start : start + size]))
        if len(lines) > most and size > 1:
            size = max(1, size * most // len(lines) // 2)
            continue
        req.client_connection.send(lines)
        start += size
        await give_way(req.client_connection)
    return req.make_reply("ok", len(items))


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
