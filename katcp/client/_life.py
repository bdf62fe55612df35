"""The life of a client: which loop it is on, running, connecting over and over, stopping."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import threading
from typing import Any, cast

from tornado.ioloop import IOLoop

from katcp.aio import ExponentialRandomBackoff, finish_guarded
from katcp.client._link import Link
from katcp.client._states import ClientState
from katcp.client._threads import make_threadsafe, wrap_marked
from katcp.errors import KatcpClientError, KatcpSyntaxError
from katcp.ioloop_manager import IOLoopManager, ThreadsafeFuture
from katcp.protocol import DEFAULT_MAX_ARGUMENTS, WireMessage
from katcp.transport import Pump, TlsError, check_context, connect_tls

log = logging.getLogger("katcp.client")

#: How long a client that is stopped waits for its last lines to be taken [s].
_LAST_WORDS = 1.0
#: So many attempts to connect, six seconds' worth of them, come `auto_reconnect_delay` apart, as
#: programs expect that restart a device and go on at once. Then the wait is `_RARER` times that
#: delay. It is so without steps between: a thousand clients of one device either come back in the
#: first second or, spread, no more than 200 in one. With waits of 1 to 3 s it would be 300.
_EAGER = 20
_RARER = 30
#: At least this share of the wait is waited for; chance has the rest, so that a thousand clients
#: of one device that is started again do not all come back at the same moment.
_SURE = 0.25


class ClientLife(ClientState):
    """A connection that is made, and made again, from `start` to `stop`.

    What is said over it is the business of subclasses: `connection_opened`,
    `connection_received`, `connection_closed`.
    """

    #: Longest line taken [bytes].
    MAX_MSG_SIZE = 16 * 1024 * 1024
    #: With more than this unsent, further messages are refused [bytes].
    MAX_WRITE_BUFFER_SIZE = 4 * 1024 * 1024
    #: A request is given up when the informs of its reply take more memory than this [bytes].
    MAX_INFORMS_SIZE = 128 * 1024 * 1024
    #: Most arguments of a message taken; one with more counts as malformed.
    MAX_ARGUMENTS = DEFAULT_MAX_ARGUMENTS
    #: An attempt to connect is given up after this [s].
    CONNECT_TIMEOUT = 20.0
    #: The handshake of TLS is given up after this [s].
    HANDSHAKE_TIMEOUT = 10.0

    def __init__(
        self,
        host: str,
        port: int,
        logger: logging.Logger,
        auto_reconnect: bool,
        backoff: ExponentialRandomBackoff | None,
        ssl_context: ssl.SSLContext | None,
        server_hostname: str | None,
    ) -> None:
        super().__init__(host, port)
        #: Why the device closed the last connection, if it said so, or why there is no TLS with it.
        self.disconnect_reason: str | None = None
        self.use_tls(ssl_context, server_hostname)
        self._logger = logger
        self._auto_reconnect = auto_reconnect
        #: Longest wait before an attempt to connect again [s]; after 20 that came to nothing it is
        #: tripled by each, up to 30 times this. Not if there is a `reconnect_backoff`.
        self.auto_reconnect_delay = 0.5
        #: Gives the wait before another attempt, if not None.
        self.reconnect_backoff = backoff
        #: Time of the last successful connection, by the clock of `ioloop` [s].
        self.last_connect_time: float | None = None
        self._asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._ioloop_manager = IOLoopManager(managed_default=True, logger=logger)
        self._daemonic = False
        self._threadsafe = False
        self._wrappers: dict[str, Any] = {}
        self._loop_set = False
        self._loop_is_current = False
        self._started = False
        self._main: asyncio.Task[None] | None = None
        self._pump: Pump | None = None
        # Whether it has been logged that there is no connection.
        self._complained = False
        # Attempts to connect since the device last said what it speaks.
        self._attempts = 0

    def use_tls(
        self, ssl_context: ssl.SSLContext | None, server_hostname: str | None = None
    ) -> None:
        """Talk to the device over TLS, or not, from the next connection on.

        Parameters
        ----------
        ssl_context : ssl.SSLContext, optional
            What is believed, and what is shown; None: no TLS.
        server_hostname : str, optional
            Name or address that the certificate of the device must be for; by default its host.

        Raises
        ------
        TypeError
            If it is no `ssl.SSLContext`.
        ValueError
            If it is for servers.
        """
        if ssl_context is not None:
            check_context(ssl_context, server_side=False)
        self._ssl_context = ssl_context
        self._server_hostname = server_hostname

    # -- which loop ---------------------------------------------------------------------

    @property
    def ioloop(self) -> IOLoop | None:
        """The loop that the client runs on; None before `start`."""
        return self._ioloop

    def set_ioloop(self, ioloop: IOLoop | None = None) -> None:
        """Run on `ioloop`, or on the loop that is current at `start`, and leave it running.

        A client for which this is not called runs a loop of its own in a thread of its own.

        Raises
        ------
        RuntimeError
            If a loop has been set, or the client runs.
        """
        if self._started or (self._loop_set and self._over is None):
            raise RuntimeError("IOLoop instance already set")
        self._ioloop_manager = IOLoopManager(managed_default=False, logger=self._logger)
        self._loop_set = True
        self._loop_is_current = ioloop is None
        if ioloop is not None:
            self._ioloop_manager.set_ioloop(ioloop, managed=False)

    @property
    def daemon(self) -> bool:
        """Whether the thread of a managed loop lets the interpreter exit while it runs.

        To be set before `start`.
        """
        return self._daemonic

    @daemon.setter
    def daemon(self, daemonic: bool) -> None:
        self._daemonic = bool(daemonic)

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802  # name of the threading module
        """Set `daemon`."""
        self.daemon = daemonic

    # -- which threads ------------------------------------------------------------------

    @property
    def threadsafe(self) -> bool:
        """Whether all threads may use this client."""
        return self._threadsafe

    def enable_thread_safety(self) -> None:
        """Let all threads call the methods marked for it; before `start`.

        Raises
        ------
        RuntimeError
            If the client runs.
        """
        if self._threadsafe:
            return
        if self._started:
            raise RuntimeError("Cannot enable thread safety after start")
        self._threadsafe = True
        self._wrappers = wrap_marked(self)

    def _not_threadsafe(self) -> RuntimeError:
        return RuntimeError("This is not thread-safe: call it in the client's own loop only.")

    # -- start and stop -----------------------------------------------------------------

    def start(self, timeout: float | None = None) -> None:
        """Begin to connect, and go on until `stop`.

        Parameters
        ----------
        timeout : float, optional
            Wait this long for the client to run [s]; never in the client's own loop.

        Raises
        ------
        RuntimeError
            If the client runs already.
        """
        if self._started:
            raise RuntimeError("The client is started already.")
        if self._main is not None:
            raise RuntimeError("The client has not stopped yet; see until_stopped().")
        if self._over is not None:
            self._make_events()
        if self._loop_is_current:
            self._ioloop_manager = IOLoopManager(managed_default=False, logger=self._logger)
            self._ioloop_manager.set_ioloop(IOLoop.current(), managed=False)
        self._ioloop = ioloop = self._ioloop_manager.get_ioloop()
        self._asyncio_loop = ioloop.asyncio_loop  # type: ignore[attr-defined]
        for event in self._events:
            event.set_ioloop(ioloop)
        self._started = True
        self._inbox.open(self._asyncio_loop)
        try:
            here = asyncio.get_running_loop() is self._asyncio_loop
        except RuntimeError:
            here = False
        if here:
            self._begin()
        else:
            ioloop.add_callback(self._begin)
        self._ioloop_manager.setDaemon(self._daemonic)
        self._ioloop_manager.start(timeout)
        if timeout is None or here or self.wait_running(timeout):
            return
        if self._over is None:
            raise RuntimeError(f"The client did not run within {timeout} s.")

    def _begin(self) -> None:
        if not self._started:
            return  # stopped before the loop came to it
        self.ioloop_thread_id = threading.get_ident()
        self._running.set()
        self._install()

    def _install(self) -> asyncio.Future[None]:
        """Begin to connect; return a future that is done when that is over."""
        if self._main is None:
            self._main = asyncio.get_running_loop().create_task(self._keep_connected())
            self._main.add_done_callback(self._main_ended)
        return self._main

    def stop(self, timeout: float | None = None) -> ThreadsafeFuture:
        """Close the connection and end. Returns at once; see `join` and `until_stopped`.

        Whoever waits in one of the ``until_*`` methods gets a `KatcpClientError`, and every
        pending request its failure.

        Raises
        ------
        RuntimeError
            If the client was never started.
        """
        if not self._started and self._over is None:
            raise RuntimeError("Call start() before stop()")
        if self._started and self._here():
            self._end("stopped")
        return self._ioloop_manager.stop(timeout, self._end_and_wait)

    async def _end_and_wait(self) -> None:
        if self._started:
            self._end("stopped")
        await self._stopped.until_set()

    def _end(self, how: str) -> None:
        """Take leave: from here on nothing is connected, and nobody need wait."""
        self._started = False
        self._over = KatcpClientError(f"Client of {self.bind_address_string} was {how}")
        if self._main is not None:
            self._main.cancel()
        else:
            self._finish()
        self._inbox.close()
        self.client_ended()
        if self._link is not None:
            self._link.close()
        for event in (
            self._running,
            self._connected,
            self._received_protocol_info,
            self._waiting_to_retry,
        ):
            event.fail(self._over)

    def _main_ended(self, task: asyncio.Task[None]) -> None:
        self._main = None
        if self._over is None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._logger.error("The client failed", exc_info=error)
            self._end("given up: the connection is gone and is not to be made again")
        else:
            self._finish()

    def _finish(self) -> None:
        self._running.clear()
        self._waiting_to_retry.clear()
        self.ioloop_thread_id = None
        self._stopped.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread of a managed loop has ended [s]; otherwise do nothing."""
        self._ioloop_manager.join(timeout)

    def client_ended(self) -> None:
        """Give up what is pending (for subclasses)."""

    # -- connecting ---------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        link: Link | None = None
        self._pump = Pump(asyncio.get_running_loop())
        try:
            while True:
                await self._connect()
                link = self._link
                if not self._started:
                    # Before Python 3.12 `wait_for` may lose a cancellation.
                    raise asyncio.CancelledError
                if link is not None:
                    await asyncio.shield(link.gone)
                if not self._auto_reconnect:
                    break
                self._waiting_to_retry.set()
                await asyncio.sleep(self._delay())
                self._waiting_to_retry.clear()
        except asyncio.CancelledError:
            link = self._link or link
            if link is not None and not link.gone.done():
                await asyncio.wait([link.gone], timeout=_LAST_WORDS)
                link.drop()
                await link.gone
        finally:
            self._pump = None

    def _delay(self) -> float:
        backoff = self.reconnect_backoff
        if backoff is None:
            times = 1 if self._attempts < _EAGER else _RARER
            self._attempts = min(self._attempts + 1, _EAGER)
            return times * self.auto_reconnect_delay * random.uniform(_SURE, 1)
        delay = backoff.delay
        backoff.failed()
        return delay

    def _connect(self) -> asyncio.Future[None]:
        """Try to connect once; return a future that is done when that is decided."""
        return asyncio.ensure_future(self._connect_once())

    async def _connect_once(self) -> None:
        pump = self._pump or Pump(asyncio.get_running_loop())
        limits = self.MAX_MSG_SIZE, self.MAX_WRITE_BUFFER_SIZE, self.MAX_ARGUMENTS
        link = Link(self, pump, *limits)
        try:
            await asyncio.wait_for(self.open_transport(link), self.CONNECT_TIMEOUT)
        except (OSError, asyncio.TimeoutError) as error:
            self._complain(error)
            if not link.gone.done():
                link.gone.set_result(None)

    def _complain(self, error: BaseException, what: str = "Cannot connect to") -> None:
        """Log why there is no connection: once an outage, since it may be tried for days."""
        text = str(error) or type(error).__name__
        level = logging.DEBUG if self._complained else logging.WARNING
        self._logger.log(level, "%s %s: %s", what, self.bind_address_string, text)
        self._complained = True
        if isinstance(error, TlsError):
            self.disconnect_reason = text

    async def open_transport(self, protocol: asyncio.BufferedProtocol) -> None:
        """Give `protocol` a transport to the device; to be overridden where it is not TCP.

        Raises
        ------
        OSError
            If that cannot be had.
        """
        host, port = self._bindaddr
        context = self._ssl_context
        if context is None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: protocol, host, port)
        else:
            name = self._server_hostname or host
            limit = self.HANDSHAKE_TIMEOUT
            await connect_tls(cast(Link, protocol), host, port, context, name, limit)

    def link_opened(self, link: Link) -> None:
        """Begin with a connection (called by the link)."""
        if not self._started or link.to_itself or self._link is not None:
            link.drop()
            return
        self._link = link
        self.last_connect_time = self._ioloop.time() if self._ioloop is not None else None
        self._disconnected.clear()
        self._connected.set()
        self.connection_opened(link)
        self._notify(True)

    def link_received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Take what came (called by the link)."""
        self.connection_received(events)

    def link_lost(self, link: Link, reason: str) -> None:
        """End with a connection (called by the link)."""
        if link is not self._link:
            return
        self._link = None
        refusal = link.transport.get_extra_info("tls_error")
        if refusal is not None:
            known = self._received_protocol_info.is_set()
            self._complain(refusal, "Lost connection to" if known else "Cannot connect to")
        self._connected.clear()
        self._received_protocol_info.clear()
        self._disconnected.set()
        self._logger.debug("Lost connection to %s: %s", self.bind_address_string, reason)
        self.connection_closed(reason)
        self._notify(False)

    def _notify(self, connected: bool) -> None:
        try:
            awaitable = self.notify_connected(connected)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("notify_connected(%s) raised", connected)
            if connected:
                self._disconnect()
            return
        if awaitable is not None and hasattr(awaitable, "__await__"):
            asyncio.ensure_future(  # noqa: RUF006  # it logs what it raises and ends by itself
                finish_guarded(self._logger, "notify_connected", awaitable)
            )

    def connection_opened(self, link: Link) -> None:
        """Begin the talk (for subclasses)."""

    def connection_received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Take messages and errors, in the order of the stream (for subclasses)."""

    def connection_closed(self, reason: str) -> None:
        """End the talk (for subclasses)."""

    def notify_connected(self, connected: bool) -> Any:
        """Take note that the connection was made or lost; for subclasses, in the loop.

        May be a plain method, return a future, or be a coroutine. If it raises on connecting,
        the connection is closed.
        """

    @make_threadsafe
    def disconnect(self) -> None:
        """Close the connection; it is made again unless the client is not to reconnect.

        Any thread may call it; others than that of the loop do not wait for it to be done.
        """
        if self._here() or not self._started:
            self._disconnect()
        else:
            self._inbox.put(self._disconnect)

    def _disconnect(self, exc_info: Any = False) -> None:
        """Close the connection, in the loop.

        Parameters
        ----------
        exc_info : bool or tuple
            Whether to log the exception that is being handled, or which to log, as for `logging`.
        """
        if exc_info:
            self._logger.error(
                "Disconnecting from %s after an error", self.bind_address_string, exc_info=exc_info
            )
        if self._link is not None:
            self._link.close()
