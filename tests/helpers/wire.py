"""A client that is nothing but a socket: what it sends and sees are lines of bytes."""

from __future__ import annotations

import asyncio
from typing import Any


class WireClient:
    """Speaks to a server over a real socket, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: tuple[str, int], *, greeting: int | None = 3) -> WireClient:
        """Connect, and read away the lines of the greeting (3 of version 5, 2 of version 4)."""
        reader, writer = await asyncio.open_connection(*address, limit=64 * 1024 * 1024)
        self = cls(reader, writer)
        for _ in range(greeting or 0):
            await self.line()
        return self

    async def send(self, *lines: bytes) -> None:
        """Send lines; each gets its LF."""
        await self.raw(b"".join(line + b"\n" for line in lines))

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def line(self, timeout: float = 10) -> bytes:
        """Return the next line without its LF; b"" at the end of the stream."""
        line = await asyncio.wait_for(self.reader.readline(), timeout)
        return line[:-1] if line.endswith(b"\n") else line

    async def lines(self, count: int, timeout: float = 10) -> list[bytes]:
        """Return the next `count` lines."""
        return [await self.line(timeout) for _ in range(count)]

    async def until_reply(self, timeout: float = 10) -> list[bytes]:
        """Return the lines up to and with the next reply."""
        lines = []
        while True:
            line = await self.line(timeout)
            if not line:
                raise EOFError(f"the stream ended after {lines}")
            lines.append(line)
            if line.startswith(b"!"):
                return lines

    async def ask(self, request: bytes, timeout: float = 10) -> list[bytes]:
        """Send a request and return what comes up to and with its reply."""
        await self.send(request)
        return await self.until_reply(timeout)

    async def rest(self, timeout: float = 10) -> bytes:
        """Return everything up to the end of the stream."""
        return await asyncio.wait_for(self.reader.read(), timeout)

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    async def __aenter__(self) -> WireClient:
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self.close()
