"""The life of the socket side of a server: its loop, its start, and its end in good order."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from typing import Any

from tornado.ioloop import IOLoop

from katcp.ioloop_manager import IOLoopManager, ThreadsafeFuture
from katcp.protocol import MessageParser
from katcp.server._accepting import Accepting
from katcp.server._idle import IdleWatch
from katcp.transport import Pump

log = logging.getLogger("katcp.server")


class KATCPServer(Accepting):
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
        super().__init__(device, host, port, logger, ssl_context)
        self._tb_limit = tb_limit
        self._idle_watch: IdleWatch | None = None
        self._ioloop_manager = IOLoopManager(managed_default=True)
        self.ioloop: IOLoop | None = None
        self.ioloop_thread_id: int | None = None
        self.asyncio_loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self._running = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()
        self._stopping: asyncio.Event | None = None
        self._parser = MessageParser()

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

    def _in_own_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.asyncio_loop
        except RuntimeError:
            return False

    def _install(self) -> None:
        """Begin to serve clients; in the loop."""
        loop = self.asyncio_loop
        self.ioloop_thread_id = threading.get_ident()
        self.pump = Pump(loop, self.coalesce)
        self._device.loop_started(loop)
        if self.idle_timeout is not None:
            self._idle_watch = IdleWatch(
                loop, self.idle_timeout, self.connections, self._give_up_idle
            )
        self._begin_to_accept()
        self._running.set()

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

    async def _shut_down(self) -> None:
        if self._stopped.is_set():
            return
        if self._stopping is not None:  # twice at a time: both wait for the same end
            await self._stopping.wait()
            return
        self._stopping = asyncio.Event()
        self._running.clear()
        self._accepting.cancel()
        await self._cease_to_accept()
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
