"""Clients over TLS that are nothing but a socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from tests.helpers.certificates import authority
from tests.helpers.wire import WireClient


async def tls_client(
    address: tuple[str, int],
    context: ssl.SSLContext | None = None,
    *,
    greeting: int = 3,
    receive: int | None = None,
    name: str = "localhost",
) -> WireClient:
    """Connect over TLS; read away the greeting.

    With `receive`, by a socket that takes so little before the sender notices.
    """
    sock = socket.socket()
    if receive is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.setblocking(False)
    dialogue = Dialogue(context, name)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
        await dialogue.take(sock)
        await dialogue.shake_hands()
        client = WireClient(_Reader(dialogue), _Writer(dialogue))  # type: ignore[arg-type]
        for _ in range(greeting):
            await client.line()
    except BaseException:
        await dialogue.close()
        sock.close()
        raise
    return client


class _Reader:
    """What is read of a `asyncio.StreamReader`, decrypted."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._held = b""
        self._ended = False

    async def read(self, size: int = -1) -> bytes:
        if size >= 0 and self._held:
            data, self._held = self._held[:size], self._held[size:]
            return data
        if size >= 0:
            return await self._some(size)
        pieces, self._held = [self._held], b""
        while piece := await self._some(65536):
            pieces.append(piece)
        return b"".join(pieces)

    async def readline(self) -> bytes:
        pieces, piece = [], self._held
        while b"\n" not in piece:
            pieces.append(piece)
            piece = await self._some(65536)
            if not piece:
                break
        line, end, self._held = piece.partition(b"\n")
        return b"".join(pieces) + line + end

    async def _some(self, size: int) -> bytes:
        if self._ended:
            return b""
        try:
            data: bytes = await self._dialogue.until(lambda: self._dialogue.tls.read(size), None)
        except (EOFError, ConnectionError):
            data = b""
        self._ended = not data
        return data


class _Writer:
    """What is written to of a `asyncio.StreamWriter`, encrypted."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def write(self, data: bytes) -> None:
        self._dialogue.tls.write(data)
        self._dialogue.writer.write(self._dialogue.outgoing.read())

    async def drain(self) -> None:
        await self._dialogue.writer.drain()

    def close(self) -> None:
        self._dialogue.writer.close()

    async def wait_closed(self) -> None:
        await self._dialogue.writer.wait_closed()


class Dialogue:
    """TLS step by step, over a plain socket: what is sent, and when, is up to the test."""

    def __init__(self, context: ssl.SSLContext | None = None, name: str = "localhost") -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or authority().client()).wrap_bio(
            self.incoming, self.outgoing, server_hostname=name
        )
        self.reader: asyncio.StreamReader
        self.writer: Any = None

    async def connect(self, address: tuple[str, int]) -> Dialogue:
        """Connect, and say nothing."""
        self.reader, self.writer = await asyncio.open_connection(*address)
        return self

    async def take(self, sock: socket.socket) -> None:
        """Use a socket that is connected."""
        self.reader, self.writer = await asyncio.open_connection(sock=sock)

    def hello(self) -> bytes:
        """Return the first bytes of a handshake."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    async def shake_hands(self) -> None:
        """Do the whole handshake."""
        await self.until(self.tls.do_handshake)

    async def until(self, step: Any, timeout: float | None = 10) -> Any:
        """Go on with something that needs what the other end says."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self.send(self.outgoing.read())
                data = await asyncio.wait_for(self.reader.read(65536), timeout)
                if not data:
                    raise EOFError from None
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError:
                await self.send(self.outgoing.read())  # an alert
                raise
            else:
                await self.send(self.outgoing.read())
                return result

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if data:
            self.writer.write(data)
            await self.writer.drain()

    async def say(self, *lines: bytes) -> None:
        """Send lines, encrypted, in one piece."""
        self.tls.write(b"".join(line + b"\n" for line in lines))
        await self.send(self.outgoing.read())

    async def hear(self, end: bytes) -> bytes:
        """Read until what was read ends with `end`."""
        heard = b""
        while not heard.endswith(end):
            heard += await self.until(lambda: self.tls.read(65536))
        return heard

    async def rest(self) -> bytes:
        """Return what comes, as it is, up to the end of the stream."""
        return await asyncio.wait_for(self.reader.read(), 10)

    async def close(self) -> None:
        """Close the connection, without a goodbye."""
        if self.writer is None:
            return
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass

    async def __aenter__(self) -> Dialogue:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
