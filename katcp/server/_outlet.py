"""What a server sends: to one client, to all, and of its own accord."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import Message, escape
from katcp.server._connection import ClientConnection
from katcp.server._request import SENT, Sent

if TYPE_CHECKING:
    from katcp.server._access import Gate
    from katcp.server._carried import Device

#: How long new clients wait to be announced together, so that many at once cost little [s].
ANNOUNCE_DELAY = 0.05


class Outlet:
    """The part of `KATCPServer` that sends."""

    _device: Device
    _running: threading.Event
    asyncio_loop: asyncio.AbstractEventLoop
    ioloop_thread_id: int | None
    gate: Gate | None

    def __init__(self) -> None:
        self.connections: dict[ClientConnection, None] = {}
        #: Called with each line that goes to all clients.
        self.listeners: list[Callable[[bytes], object]] = []
        self._newcomers: list[ClientConnection] = []

    # -- threads ------------------------------------------------------------------------

    def in_ioloop_thread(self) -> bool:
        """Tell whether this is the thread of the server's loop."""
        return threading.get_ident() == self.ioloop_thread_id

    def in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` now, if this is the loop's thread, or else soon in the loop.

        Where there is no loop any more, nothing is left that it could be for.
        """
        if threading.get_ident() == self.ioloop_thread_id:
            function(*args)
            return
        try:
            self.asyncio_loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            if not self.asyncio_loop.is_closed():
                raise

    def call_from_thread(self, fn: Callable[[], Any]) -> ThreadsafeFuture:
        """Call `fn` in the loop, from any thread; return a thread-safe future of its result.

        If `fn` returns a future, that is waited for. Where the server does not run, the future
        has a `RuntimeError`.
        """
        done = ThreadsafeFuture()
        if not self._running.is_set() and not self.in_ioloop_thread():
            done.set_exception(RuntimeError("The server does not run."))
            return done

        def finish(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                done.cancel()
            elif (error := future.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(future.result())

        def call() -> None:
            try:
                result = fn()
            except Exception as error:
                done.set_exception(error)
                return
            if inspect.isawaitable(result) and not isinstance(result, Sent):
                self._device.katcp_follow(result).add_done_callback(finish)
            else:
                done.set_result(None if isinstance(result, Sent) else result)

        self.in_loop(call)
        return done

    # -- to one client ------------------------------------------------------------------

    @property
    def _connections(self) -> dict[ClientConnection, ClientConnection]:
        """Clients by what stands for them in `send_message` and the like: themselves."""
        return {connection: connection for connection in self.connections}

    def send_message(self, stream: ClientConnection, msg: Message) -> Sent:
        """Send a message to a client; from any thread."""
        self.in_loop(stream.send, bytes(msg) + b"\n")
        return SENT

    def send_message_from_thread(self, stream: ClientConnection, msg: Message) -> ThreadsafeFuture:
        """Send a message to a client; return a thread-safe future of its having been sent."""
        return self.call_from_thread(lambda: self.send_message(stream, msg))

    def flush_on_close(self, stream: ClientConnection) -> Any:
        """Close a client's connection once all that waits is written; return a future."""
        return stream.flush_on_close()

    def get_address(self, stream: ClientConnection) -> str:
        """Return the address of a client: ``host:port``."""
        return stream.address

    # -- to all -------------------------------------------------------------------------

    def mass_send_message(self, msg: Message) -> Sent:
        """Send a message to all clients; from any thread."""
        line = bytes(msg) + b"\n"
        if self._running.is_set() or self.in_ioloop_thread():
            self.in_loop(self.mass_send, line)
        return SENT

    def mass_send_message_from_thread(self, msg: Message) -> ThreadsafeFuture:
        """Send a message to all clients; return a thread-safe future of its having been sent."""
        return self.call_from_thread(lambda: self.mass_send_message(msg))

    def mass_send(self, line: bytes) -> None:
        """Send a line to all clients, as far as they may receive it; in the loop."""
        for listener in self.listeners:
            listener(line)
        clients = self.connections
        if self.gate is not None:
            clients = self.gate.audience(clients, _name_of(line))
        for connection in clients:
            connection.send(line)

    def announce(self, connection: ClientConnection) -> None:
        """Tell the others of a new client, after a moment in which more may come."""
        if not self._device.announces_clients:
            return
        if not self._newcomers:
            self.asyncio_loop.call_later(ANNOUNCE_DELAY, self._announce_newcomers)
        self._newcomers.append(connection)

    def _announce_newcomers(self) -> None:
        newcomers, self._newcomers = self._newcomers, []
        lines = [
            b"#client-connected " + escape(connection.address.encode()) + b"\n"
            for connection in newcomers
        ]
        everything = b"".join(lines)
        position = {connection: index for index, connection in enumerate(newcomers)}
        offsets = [0]
        for line in lines:
            offsets.append(offsets[-1] + len(line))
        clients = self.connections
        if self.gate is not None:
            clients = self.gate.audience(clients, "client-connected")
        for connection in clients:
            index = position.get(connection)
            # One that came in the meantime is told of those that came after it.
            text = everything if index is None else everything[offsets[index + 1] :]
            if text:
                connection.send(text)


def _name_of(line: bytes) -> str:
    """Return the name of the inform that a line is."""
    return line[1:].split(None, 1)[0].decode("ascii", "replace")
