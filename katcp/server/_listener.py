"""The socket side of a server: listening, clients coming and going, sending to all."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from tornado.ioloop import IOLoop

from katcp.errors import FailReply, KatcpSyntaxError
from katcp.ioloop_manager import IOLoopManager, ThreadsafeFuture
from katcp.protocol import (
    DEFAULT_MAX_ARGUMENTS,
    DEFAULT_MAX_LINE,
    DEFAULT_MAX_NAME,
    Message,
    MessageParser,
    WireMessage,
    escape,
)
from katcp.server._access import Gate
from katcp.server._admission import Admission, is_loopback
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import error_of
from katcp.server._idle import IdleWatch
from katcp.server._load import Load
from katcp.server._outlet import Outlet
from katcp.server._plain_device import PlainDevice
from katcp.server._request import Sent
from katcp.server._seldom import SeldomLog
from katcp.server._statistics import Counters, Statistics
from katcp.transport import (
    TOO_SLOW,
    Handshakes,
    Pump,
    TlsLayer,
    bind_sockets,
    check_context,
    format_address,
)

log = logging.getLogger("katcp.server")

#: Clients that are taken in one turn of the loop.
_ACCEPT_AT_ONCE = 32
#: What a client without TLS is told by a server with it.
_TLS_ONLY = b"#disconnect " + escape(b"This server is to be talked to over TLS.") + b"\n"


class Device(Protocol):
    """What a socket server needs of the device whose clients it carries."""

    @property
    def announces_clients(self) -> bool:
        """Whether other clients are told of a new one."""

    @property
    def start_message(self) -> Callable[[ClientConnection, WireMessage | KatcpSyntaxError], bool]:
        """What begins to handle a message or an error; true: hold back the next one."""

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of the loop, in it."""

    async def loop_ending(self) -> None:
        """End what works in the background, before clients are told."""

    def loop_stopping(self) -> None:
        """End what belongs to the loop, in it."""

    def katcp_follow(self, pending: Any) -> asyncio.Future[Any]:
        """Return a future of the loop for whatever a hook returned."""

    def on_client_connect(self, conn: ClientConnection, /) -> Any:
        """Do what a new client needs."""

    def on_client_disconnect(
        self, conn: ClientConnection, msg: str, connection_valid: bool, /
    ) -> Any:
        """Do what is needed when a client goes."""

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client."""

    def abandon_requests(self, connection: ClientConnection) -> None:
        """Answer the requests of a client that are under way."""

    def create_log_inform(
        self, level_name: str, msg: str, name: str, timestamp: float | None = None
    ) -> Message:
        """Make a ``#log`` inform."""


class KATCPServer(Outlet):
    """Listens for clients of a device and carries their messages.

    Parameters
    ----------
    device : Device
        Whose clients these are: a `DeviceServerBase`, or anything that has `on_client_connect`,
        `on_client_disconnect`, `on_message` and `create_log_inform`.
    host : str
        Address to listen on; empty: all interfaces, IPv4 and IPv6.
    port : int
        TCP port; 0: any free one.
    tb_limit : int
        Most stack frames of a traceback that a client is sent.
    logger : logging.Logger
    ssl_context : ssl.SSLContext, optional
        For TLS; None: none.
    """

    #: Connections that may wait to be accepted (the kernel may allow fewer).
    BACKLOG: ClassVar[int] = 1024
    #: Longest line taken [bytes].
    MAX_MSG_SIZE: ClassVar[int] = DEFAULT_MAX_LINE
    #: Most arguments of a message, and longest name of a request that is not known [bytes].
    MAX_ARGUMENTS: ClassVar[int] = DEFAULT_MAX_ARGUMENTS
    MAX_NAME: ClassVar[int] = DEFAULT_MAX_NAME
    #: Most unsent output of one client [bytes].
    MAX_WRITE_BUFFER_SIZE: ClassVar[int] = 8 * 1024 * 1024
    #: How long a client that is disconnected may take to read what waits [s].
    DISCONNECT_TIMEOUT: ClassVar[float] = 1
    #: How long a client may take for the handshake of TLS [s].
    HANDSHAKE_TIMEOUT: ClassVar[float] = 10
    #: Most connections whose handshake is not done; one more, and the one is dropped that has been
    #: silent for longest. They do not count as clients yet.
    MAX_HANDSHAKES: ClassVar[int] = 1000

    client_connection_factory: Any = ClientConnection

    def __init__(
        self,
        device: Any,
        host: str,
        port: int,
        tb_limit: int = 20,
        logger: logging.Logger = log,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self.use_tls(ssl_context)
        self._handshakes: Handshakes | None = None
        self._device: Device = device if hasattr(device, "start_message") else PlainDevice(device)
        self._bindaddr: tuple[str, int] = (host, port)
        self._tb_limit = tb_limit
        self._logger = logger
        #: Limits given to the constructor; None: those above, which may be set until `start`.
        self.max_line: int | None = None
        self.max_arguments: int | None = None
        self.max_name: int | None = None
        self.max_backlog: int | None = None
        self.stall_timeout = 30.0
        self.coalesce = 0.001
        self.max_complaints = 100
        #: (idle, interval, count) of TCP's own probes; None: there are none.
        self.keepalive: tuple[int, int, int] | None = (30, 10, 3)
        #: How long a client may be silent [s]; None: for ever.
        self.idle_timeout: float | None = None
        self.admission = Admission()
        #: Counts requests under way; None: they are not limited.
        self.load: Load | None = None
        #: Asks the policy; None: there is none.
        self.gate: Gate | None = None
        self.counters = Counters()
        self.statistics = self._make_statistics()
        self._turned_away = SeldomLog(logger, logging.WARNING)
        #: Clients that it is not decided about yet.
        self._undecided: dict[ClientConnection, asyncio.Future[Any]] = {}
        self._idle_watch: IdleWatch | None = None
        self._ioloop_manager = IOLoopManager(managed_default=True)
        self.ioloop: IOLoop | None = None
        self.ioloop_thread_id: int | None = None
        self.asyncio_loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self.pump: Pump = None  # type: ignore[assignment]
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._running = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()
        self._stopping: asyncio.Event | None = None
        self._parser = MessageParser()
        self._connection_ids = itertools.count(1)
        #: Futures of hooks that take their time.
        self._greeting: set[asyncio.Future[Any]] = set()
        self._goodbyes: set[asyncio.Future[Any]] = set()

    def use_tls(self, ssl_context: ssl.SSLContext | None) -> None:
        """Talk to clients over TLS, or not; before `start`.

        Raises
        ------
        TypeError
            If it is no `ssl.SSLContext`.
        ValueError
            If it is for clients.
        """
        if ssl_context is not None:
            check_context(ssl_context, server_side=True)
        self.ssl_context = ssl_context

    # -- life ---------------------------------------------------------------------------

    @property
    def bind_address(self) -> tuple[str, int]:
        """(host, port) listened on; the real port once started."""
        return self._bindaddr

    def set_ioloop(self, ioloop: IOLoop | None = None) -> None:
        """Run in `ioloop`, or the current one, in place of a managed one."""
        self._ioloop_manager.set_ioloop(ioloop, managed=False)
        self.ioloop = self._ioloop_manager.get_ioloop()

    @property
    def daemon(self) -> bool:
        """Whether the thread of a managed loop is a daemon; to be set before `start`."""
        return self._ioloop_manager.daemon

    @daemon.setter
    def daemon(self, daemonic: bool) -> None:
        self._ioloop_manager.daemon = daemonic

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802  # name of the threading module
        """Set `daemon`."""
        self.daemon = daemonic

    def start(self, timeout: float | None = None) -> None:
        """Listen, at once, and start the loop if it is managed; with a timeout, wait for it [s].

        Raises
        ------
        RuntimeError
            If it is running.
        OSError
            If the address cannot be listened on.
        """
        if not self._stopped.is_set():
            raise RuntimeError("Server already started.")
        self._sockets = self.open_sockets()
        try:
            self.ioloop = self._ioloop_manager.get_ioloop()
            self.asyncio_loop = self.ioloop.asyncio_loop  # type: ignore[attr-defined]
            self._ioloop_manager.start()
        except BaseException:
            self._close_sockets()
            raise
        self._stopped.clear()
        self._stopping = None
        if self._in_own_loop():
            self._install()
        else:
            self.ioloop.add_callback(self._install)
        if timeout is not None:
            self._running.wait(timeout)

    def open_sockets(self) -> list[socket.socket]:
        """Return the sockets to listen on; to be overridden where clients come another way.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        host, port = self._bindaddr
        try:
            sockets = bind_sockets(host, port, self.BACKLOG)
        except OSError as error:
            self._logger.error("Cannot listen on %s:%s: %s", host or "*", port, error)
            raise
        self._bindaddr = (host, sockets[0].getsockname()[1])
        return sockets

    def _in_own_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.asyncio_loop
        except RuntimeError:
            return False

    def _install(self) -> None:
        """Begin to accept clients; in the loop. Until then the kernel keeps them waiting."""
        loop = self.asyncio_loop
        self.ioloop_thread_id = threading.get_ident()
        self.pump = Pump(loop, self.coalesce)
        if self.ssl_context is not None:
            self._handshakes = Handshakes(
                loop, self.MAX_HANDSHAKES, self._logger, admits=self._may_shake_hands
            )
        self._device.loop_started(loop)
        if self.idle_timeout is not None:
            self._idle_watch = IdleWatch(
                loop, self.idle_timeout, self.connections, self._give_up_idle
            )
        self._accepting = loop.create_task(self._accept())
        self._running.set()

    async def _accept(self) -> None:
        for sock in self._sockets:
            # asyncio takes that many clients in one turn of the loop: a thousand at once, 80 ms.
            at_once = min(_ACCEPT_AT_ONCE, self.BACKLOG)
            self._servers.append(
                await self.asyncio_loop.create_server(
                    self._make_protocol, sock=sock, backlog=at_once
                )
            )
            sock.listen(self.BACKLOG)

    def _make_protocol(self) -> asyncio.BufferedProtocol:
        """Return what a connection is that is about to be made; over TLS, what comes before it."""
        if self.ssl_context is None or self._handshakes is None:
            return self.make_connection()
        return TlsLayer(
            self.pump,
            self.make_connection,
            self.ssl_context,
            self._handshakes,
            self.HANDSHAKE_TIMEOUT,
            farewell=_TLS_ONLY,
        )

    def make_connection(self) -> ClientConnection:
        """Return the server's end of a connection that is about to be made."""
        connection: ClientConnection = self.client_connection_factory(
            self, next(self._connection_ids)
        )
        return connection

    @property
    def is_exposed(self) -> bool:
        """Whether other computers can reach one of the sockets that are listened on."""
        return any(
            sock.family in (socket.AF_INET, socket.AF_INET6)
            and not is_loopback(sock.getsockname()[0])
            for sock in self._sockets
        )

    def running(self) -> bool:
        """Tell whether clients are served."""
        return self._running.is_set()

    def wait_running(self, timeout: float | None = None) -> bool:
        """Wait until clients are served; for other threads [s]."""
        return self._running.wait(timeout)

    def stop(self, timeout: float | None = 1.0) -> ThreadsafeFuture:
        """Disconnect all clients and stop listening, and the loop if it is managed.

        Callable from any thread and from the loop. The future, which is thread-safe and may be
        awaited, is done when all sockets are closed.
        """
        if self._stopped.is_set():
            done = ThreadsafeFuture()
            done.set_result(None)
            return done
        if self.asyncio_loop.is_closed():  # by others: nothing can be said to clients any more
            self._close_sockets()
            self.connections.clear()
            self._undecided.clear()
            self.admission.clear()
            self._idle_watch = None
            self._running.clear()
            self._stopped.set()
        elif self._stopping is None and not self.in_ioloop_thread():
            self._running.wait(timeout)
        return self._ioloop_manager.stop(timeout, self._shut_down)

    def _close_sockets(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    async def _shut_down(self) -> None:
        if self._stopped.is_set():
            return
        if self._stopping is not None:  # twice at a time: both wait for the same end
            await self._stopping.wait()
            return
        self._stopping = asyncio.Event()
        self._running.clear()
        self._accepting.cancel()
        self._close_sockets()
        self._newcomers.clear()
        if self._idle_watch is not None:
            self._idle_watch.stop()
            self._idle_watch = None
        if self._handshakes is not None:
            await self._handshakes.end()
        await self._device.loop_ending()
        reason = "Device server shutting down."
        undecided = list(self._undecided)
        for connection in undecided:
            self._forget(connection)
            self._turn_away(connection, reason)
        closing: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._close(connection, reason, connection_valid=True))
            for connection in list(self.connections)
        ]
        closing += [
            asyncio.ensure_future(connection.until_lost(self.DISCONNECT_TIMEOUT))
            for connection in undecided
        ]
        if closing:
            await asyncio.wait(closing)
        if self._goodbyes:
            await asyncio.wait(self._goodbyes, timeout=self.DISCONNECT_TIMEOUT)
        for task in [*self._greeting, *self._goodbyes]:
            task.cancel()
        self._device.loop_stopping()
        self.ioloop_thread_id = None  # the system may give it to another thread
        self._stopped.set()
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the server has stopped; for other threads [s].

        With a loop of its own that means until its thread has ended; else, with a timeout only,
        until the port is closed.
        """
        if self._ioloop_manager.managed:
            self._ioloop_manager.join(timeout)
        elif timeout is not None and not self.in_ioloop_thread():
            self._stopped.wait(timeout)

    # -- clients ------------------------------------------------------------------------

    @property
    def max_clients(self) -> int | None:
        """Most clients at once; None: no limit."""
        return self.admission.max_clients

    @max_clients.setter
    def max_clients(self, number: int | None) -> None:
        self.admission.max_clients = number

    def connected(self, connection: ClientConnection) -> None:
        """Take in a new client, if there is a place for it and nothing is against it."""
        if self._stopping is not None:
            self._turn_away(connection, "Device server shutting down.")
            return
        refusal = self.admission.refusal(connection.host)
        if refusal is not None:
            self.counters.add(refusal.counter)
            self._turned_away.log("Turned %s away: %s", connection.address, refusal)
            self._turn_away(connection, refusal)
            return
        self.admission.enter(connection.host)
        if self.gate is None:
            self._take_in(connection)
            return
        verdict = self.gate.connect(connection)
        if verdict is None or isinstance(verdict, FailReply):
            self._decided(connection, verdict)
            return
        connection.hold()
        task = self._device.katcp_follow(verdict)
        self._undecided[connection] = task
        task.add_done_callback(lambda task: self._decided_at_last(connection, task))

    def _decided_at_last(self, connection: ClientConnection, task: asyncio.Future[Any]) -> None:
        if self._undecided.pop(connection, None) is not None and not task.cancelled():
            self._decided(connection, task.result())

    def _decided(self, connection: ClientConnection, refusal: FailReply | None) -> None:
        if refusal is None:
            self._take_in(connection)
            return
        self.counters.refused_access += 1
        self.admission.leave(connection.host)
        self._turn_away(connection, str(refusal))

    def _turn_away(self, connection: ClientConnection, reason: str) -> None:
        """Tell a client that it is not served, and close."""
        connection.stop_handling()
        connection.inform(Message.inform("disconnect", reason))
        connection.close()

    def _may_shake_hands(self, peer: Any) -> bool:
        """Tell whether a client may begin with TLS: from an address that is not allowed, none."""
        refusal = self.admission.refusal(str(peer[0]) if isinstance(peer, tuple) else None)
        if refusal is None or refusal.counter != "refused_address":
            return True  # those too many are told so
        self.counters.add(refusal.counter)
        self._turned_away.log("Turned %s away: %s", format_address(peer), refusal)
        return False

    def _forget(self, connection: ClientConnection) -> bool:
        """Take a client's place back; tell whether it had one."""
        task = self._undecided.pop(connection, None)
        if task is not None:
            task.cancel()
        elif self.connections.pop(connection, self) is self:
            return False
        self.admission.leave(connection.host)
        return True

    def _give_up_idle(self, connection: ClientConnection) -> None:
        self.counters.dropped_idle += 1
        self._logger.info("Disconnecting %s, which has been silent", connection.address)
        self.disconnect(connection, f"Nothing was heard for {self.idle_timeout:g} s.")

    def _take_in(self, connection: ClientConnection) -> None:
        """Greet a client, then handle its messages."""
        self.counters.accepted += 1
        self.connections[connection] = None
        try:
            result = self._device.on_client_connect(connection)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._refuse(connection, error)
            return
        self.announce(connection)
        if inspect.isawaitable(result) and not isinstance(result, Sent):
            connection.hold()
            task = self._device.katcp_follow(result)
            self._greeting.add(task)
            task.add_done_callback(lambda task: self._greeted(connection, task))
        else:
            connection.proceed()  # it may have waited for a decision

    def _greeted(self, connection: ClientConnection, task: asyncio.Future[Any]) -> None:
        self._greeting.discard(task)
        error = error_of(task)
        if error is not None:
            self._refuse(connection, error)
        else:
            connection.proceed()

    def _refuse(self, connection: ClientConnection, error: BaseException) -> None:
        """Tell a client that it cannot be served, and close."""
        self._logger.error("on_client_connect of %s failed", connection.address, exc_info=error)
        text = f"Device error initialising connection {type(error).__name__}: {error}"
        connection.inform(self._device.create_log_inform("error", text, "root"))
        self._forget(connection)
        connection.stop_handling()
        connection.close()

    def left_out(self, connection: ClientConnection, count: int) -> None:
        """Tell a client of how many bad lines it has not been told."""
        text = f"Further bad lines within a second: {count}."
        connection.inform(self._device.create_log_inform("error", text, "root"))
        self._logger.info("%s further bad lines from %s", count, connection.address)

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        """Forget a client whose connection is gone."""
        self.counters.spared += connection.spared
        if reason.startswith(TOO_SLOW):
            self.counters.dropped_slow += 1
        if connection in self._undecided:
            self._forget(connection)
            return
        if not self._forget(connection):
            return
        if not connection.client_disconnect_called:
            connection.on_client_disconnect_was_called()
            self._call_disconnect_hook(connection, reason, connection_valid=False)
        self._device.client_gone(connection)

    def _call_disconnect_hook(
        self, connection: ClientConnection, reason: str, *, connection_valid: bool
    ) -> asyncio.Future[Any] | None:
        try:
            result = self._device.on_client_disconnect(connection, reason, connection_valid)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._logger.exception("on_client_disconnect of %s failed", connection.address)
            return None
        if not inspect.isawaitable(result) or isinstance(result, Sent):
            return None
        future = self._device.katcp_follow(result)
        self._goodbyes.add(future)
        future.add_done_callback(self._log_hook)
        return future

    def _log_hook(self, future: asyncio.Future[Any]) -> None:
        self._goodbyes.discard(future)
        error = error_of(future)
        if error is not None:
            self._logger.error("on_client_disconnect failed", exc_info=error)

    def disconnect(self, connection: ClientConnection, reason: str) -> ThreadsafeFuture:
        """Tell a client why, and close its connection. Callable from any thread."""
        done = ThreadsafeFuture()

        def begin() -> None:
            task = self.asyncio_loop.create_task(
                self._close(connection, reason, connection_valid=True)
            )
            task.add_done_callback(lambda task: done.set_result(None))

        if self.running() or self.in_ioloop_thread():
            self.in_loop(begin)
        else:
            done.set_result(None)  # stopped, or about to be
        return done

    async def _close(
        self, connection: ClientConnection, reason: str, *, connection_valid: bool
    ) -> None:
        connection.stop_handling()
        self._device.abandon_requests(connection)
        if not connection.client_disconnect_called:
            connection.on_client_disconnect_was_called()
            future = self._call_disconnect_hook(
                connection, reason, connection_valid=connection_valid
            )
            if future is not None:
                await asyncio.wait([future], timeout=self.DISCONNECT_TIMEOUT)
        connection.close()
        # The peer has a bounded time to take what waits; closing a transport waits for ever.
        if not await connection.until_lost(self.DISCONNECT_TIMEOUT):
            connection.transport.abort()
            await connection.until_lost(self.DISCONNECT_TIMEOUT)
        self._forget(connection)
        self._device.client_gone(connection)

    # -- numbers ------------------------------------------------------------------------

    def _make_statistics(self) -> Statistics:
        counters = self.counters
        return Statistics(
            {
                "clients": lambda: len(self.connections),
                "clients_accepted": lambda: counters.accepted,
                "clients_refused_address": lambda: counters.refused_address,
                "clients_refused_number": lambda: counters.refused_number,
                "clients_refused_access": lambda: counters.refused_access,
                "clients_dropped_slow": lambda: counters.dropped_slow,
                "clients_dropped_idle": lambda: counters.dropped_idle,
                "bad_lines": lambda: counters.bad_lines,
                "requests_under_way": lambda: sum(c.under_way for c in self._snapshot()),
                "requests_refused_access": lambda: counters.refused_requests,
                "requests_held_back": lambda: 0 if self.load is None else self.load.holds,
                "handler_errors": lambda: counters.handler_errors,
                "subscriptions_refused": lambda: counters.refused_subscriptions,
                "readings_spared": lambda: (
                    counters.spared + sum(c.spared_so_far for c in self._snapshot())
                ),
            }
        )

    def _snapshot(self) -> list[ClientConnection]:
        """Return the clients; from any thread."""
        return list(self.connections.copy())

    @property
    def start_message(self) -> Callable[[ClientConnection, WireMessage | KatcpSyntaxError], bool]:
        """What begins to handle a message or a syntax error; true: hold back the next one."""
        return self._device.start_message
