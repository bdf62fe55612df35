"""A network that misbehaves: a TCP proxy that delays, stalls, throttles, splits and cuts.

It needs no rights, and no other process: it runs on the loop of the test. All settings may be
changed while it runs, for connections that are there and for those to come.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import socket
import struct
import time
from typing import Any

#: How much is read at a time, unless a way says less [bytes].
PIECE = 64 * 1024
#: Most pieces that are on the way in one direction.
ON_THE_WAY = 1024


class Way:
    """One direction of a network.

    Attributes
    ----------
    delay : float
        What is sent arrives so much later [s].
    jitter : float
        Up to so much is added to the time of a piece, which holds up those behind it, as a
        packet that is lost and sent again does [s].
    rate : float or None
        Most bytes per second.
    size : int
        Most bytes that are passed on at a time.
    open : asyncio.Event
        While it is not set nothing is passed on, and nothing is read: silence, both ways in.
    cut_after : int or None
        Of each connection so many bytes are passed on, then `ending` comes.
    ending : str
        ``"rst"``: both ends are reset. ``"fin"``: both ends are closed. ``"half"``: this direction
        alone ends, the other goes on. ``"silence"``: nothing is passed on any more, either way.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.jitter = 0.0
        self.rate: float | None = None
        self.size = PIECE
        self.cut_after: int | None = None
        self.ending = "rst"
        self.open = asyncio.Event()
        self.open.set()
        #: Bytes passed on, of all connections.
        self.passed = 0


class _Passage:
    """One connection through the network."""

    def __init__(self, net: BadNet, client: socket.socket) -> None:
        self.net = net
        self.client = client
        self.server: socket.socket | None = None
        self.silent = False
        self._ended = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = server = socket.socket()
        try:
            server.setblocking(False)
            for sock in (self.client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.sock_connect(server, self.net.target)
            except OSError:
                self.end("rst")
                return
            ways = [
                asyncio.ensure_future(self._pass(self.client, server, self.net.up)),
                asyncio.ensure_future(self._pass(server, self.client, self.net.down)),
            ]
            try:
                await asyncio.gather(*ways)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.end("fin")

    async def _pass(self, source: socket.socket, sink: socket.socket, way: Way) -> None:
        queue: collections.deque[tuple[float, bytes]] = collections.deque()
        some = asyncio.Event()
        room = asyncio.Event()
        reader = asyncio.ensure_future(self._read(source, way, queue, some, room))
        try:
            await self._write(sink, way, queue, some, room)
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            if not reader.cancelled():
                reader.exception()

    async def _read(
        self,
        source: socket.socket,
        way: Way,
        queue: collections.deque[tuple[float, bytes]],
        some: asyncio.Event,
        room: asyncio.Event,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await way.open.wait()
            while len(queue) >= ON_THE_WAY:
                room.clear()
                await room.wait()
            try:
                data = await loop.sock_recv(source, min(way.size, PIECE))
            except OSError:
                self.end("rst")
                data = b""
            late = way.delay + (random.uniform(0, way.jitter) if way.jitter else 0.0)
            queue.append((time.monotonic() + late, data))
            some.set()
            if not data:
                return

    async def _write(
        self,
        sink: socket.socket,
        way: Way,
        queue: collections.deque[tuple[float, bytes]],
        some: asyncio.Event,
        room: asyncio.Event,
    ) -> None:
        loop = asyncio.get_running_loop()
        passed = 0
        while True:
            while not queue:
                some.clear()
                await some.wait()
            due, data = queue.popleft()
            room.set()
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            await way.open.wait()
            if self.silent:
                await asyncio.Event().wait()
            if not data:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)
                return
            left = len(data) if way.cut_after is None else max(0, way.cut_after - passed)
            piece = data[:left]
            if piece:
                await loop.sock_sendall(sink, piece)
            passed += len(piece)
            way.passed += len(piece)
            if way.cut_after is not None and passed >= way.cut_after:
                await self._cut(sink, way)
                return
            if way.rate:
                await asyncio.sleep(len(piece) / way.rate)

    async def _cut(self, sink: socket.socket, way: Way) -> None:
        self.net.cuts += 1
        if way.ending == "half":
            sink.shutdown(socket.SHUT_WR)
        elif way.ending == "silence":
            self.silent = True
            await asyncio.Event().wait()
        else:
            self.end(way.ending)

    def end(self, how: str) -> None:
        """End both sides: by ``"fin"`` or ``"rst"``."""
        if self._ended:
            return
        self._ended = True
        loop = asyncio.get_running_loop()
        for sock in (self.client, self.server):
            if sock is None or sock.fileno() < 0:
                continue
            loop.remove_reader(sock)
            loop.remove_writer(sock)
            if how == "rst":
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.net.forget(self)


class BadNet:
    """The network between some clients and one server.

    Parameters
    ----------
    target : (host, port)
        Where the server is; may be changed.

    Attributes
    ----------
    up, down : Way
        From clients to the server, and back.
    address : (host, port)
        Where clients connect to.
    count : int
        Connections so far.
    cuts : int
        Connections that were cut by `Way.cut_after`.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.up = Way()
        self.down = Way()
        self.address = ("127.0.0.1", 0)
        self.count = 0
        self.cuts = 0
        self._passages: dict[_Passage, asyncio.Task[None]] = {}
        self._listener: socket.socket | None = None

    @property
    def host(self) -> str:
        """Where clients connect to."""
        return self.address[0]

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return self.address[1]

    @property
    def ways(self) -> tuple[Way, Way]:
        """Both directions."""
        return self.up, self.down

    @property
    def alive(self) -> int:
        """Connections that there are."""
        return len(self._passages)

    async def __aenter__(self) -> BadNet:
        self._listener = listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self.address)
        listener.listen(1024)
        listener.setblocking(False)
        self.address = listener.getsockname()
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        tasks = list(self._passages.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for passage in list(self._passages):
            passage.end("rst")

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            self.count += 1
            passage = _Passage(self, sock)
            task = asyncio.get_running_loop().create_task(passage.run())
            self._passages[passage] = task

    def forget(self, passage: _Passage) -> None:
        """Forget a connection that has ended."""
        task = self._passages.pop(passage, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    # -- misbehaviour -------------------------------------------------------------------

    def stall(self, *ways: Way) -> None:
        """Fall silent: in these directions, or both."""
        for way in ways or self.ways:
            way.open.clear()

    def go_on(self, *ways: Way) -> None:
        """Speak again."""
        for way in ways or self.ways:
            way.open.set()

    def cut(self, how: str = "rst") -> None:
        """End all connections, by ``"rst"`` or ``"fin"``."""
        for passage in list(self._passages):
            passage.end(how)

    def cut_each_after(self, way: Way, count: int | None, ending: str = "rst") -> None:
        """End each connection after so many bytes of one direction; None: not any more."""
        way.cut_after, way.ending = count, ending
