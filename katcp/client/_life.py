"""The life of a client: which loop it is on, running, connecting over and over, stopping."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import AsyncEvent, ExponentialRandomBackoff, failed, finish_guarded
from katcp.client._link import Link
from katcp.errors import KatcpClientError, KatcpSyntaxError
from katcp.ioloop_manager import IOLoopManager, ThreadsafeFuture
from katcp.protocol import WireMessage
from katcp.transport import Pump, format_address

log = logging.getLogger("katcp.client")

#: How long a client that is stopped waits for its last lines to be taken [s].
_LAST_WORDS = 1.0


def address_to_string(addr_tuple: tuple[Any, ...]) -> str:
    """Return an address as ``host:port``."""
    return format_address(addr_tuple)


class ClientLife:
    """A connection that is made, and made again, from `start` to `stop`.

    What is said over it is the business of subclasses: `connection_opened`,
    `connection_received`, `connection_closed`.
    """

    #: Longest line taken [bytes].
    MAX_MSG_SIZE = 16 * 1024 * 1024
    #: With more than this unsent, further messages are refused [bytes].
    MAX_WRITE_BUFFER_SIZE = 4 * 1024 * 1024
    #: An attempt to connect is given up after this [s].
    CONNECT_TIMEOUT = 20.0

    def __init__(
        self,
        host: str,
        port: int,
        logger: logging.Logger,
        auto_reconnect: bool,
        backoff: ExponentialRandomBackoff | None,
    ) -> None:
        self._bindaddr = (host or "0.0.0.0", port)
        self._logger = logger
        self._auto_reconnect = auto_reconnect
        #: Wait before another attempt to connect [s], unless there is a `reconnect_backoff`.
        self.auto_reconnect_delay = 0.5
        #: Gives the wait before another attempt, if not None.
        self.reconnect_backoff = backoff
        #: Loop time of the last successful connection [s].
        self.last_connect_time: float | None = None
        #: Thread of the loop, once running.
        self.ioloop_thread_id: int | None = None
        self._ioloop: IOLoop | None = None
        self._asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._ioloop_manager = IOLoopManager(managed_default=True, logger=logger)
        self._loop_set = False
        self._loop_is_current = False
        self._started = False
        self._main: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._complained = False
        self._make_events()

    def _make_events(self) -> None:
        self._stopped = AsyncEvent()
        self._running = AsyncEvent()
        self._connected = AsyncEvent()
        self._disconnected = AsyncEvent()
        self._disconnected.set()
        self._received_protocol_info = AsyncEvent()
        self._waiting_to_retry = AsyncEvent()
        self._events = (
            self._stopped,
            self._running,
            self._connected,
            self._disconnected,
            self._received_protocol_info,
            self._waiting_to_retry,
        )
        # Why nobody need wait any more.
        self._over: KatcpClientError | None = None

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

    def _here(self) -> bool:
        """Tell whether this is the thread of the running loop of this client."""
        return threading.get_ident() == self.ioloop_thread_id

    def _check_thread(self) -> None:
        if not self._here():
            raise RuntimeError("This client is not thread-safe: use it in its own loop only.")

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
        try:
            here = asyncio.get_running_loop() is self._asyncio_loop
        except RuntimeError:
            here = False
        if here:
            self._begin()
        else:
            ioloop.add_callback(self._begin)
        self._ioloop_manager.start(timeout)
        if timeout is not None and not here and not self.wait_running(timeout):
            raise RuntimeError(f"The client did not run within {timeout} s.")

    def _begin(self) -> None:
        if not self._started:
            return  # stopped before the loop came to it
        self.ioloop_thread_id = threading.get_ident()
        self._running.set()
        self._main = asyncio.get_running_loop().create_task(self._keep_connected())
        self._main.add_done_callback(self._main_ended)

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
        pump = Pump(asyncio.get_running_loop())
        try:
            while True:
                link = await self._connect(pump)
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

    def _delay(self) -> float:
        backoff = self.reconnect_backoff
        if backoff is None:
            return self.auto_reconnect_delay
        delay = backoff.delay
        backoff.failed()
        return delay

    async def _connect(self, pump: Pump) -> Link | None:
        """Try to connect once; None if that fails."""
        host, port = self._bindaddr
        link = Link(self, pump, self.MAX_MSG_SIZE, self.MAX_WRITE_BUFFER_SIZE)
        try:
            await asyncio.wait_for(
                pump.loop.create_connection(lambda: link, host, port), self.CONNECT_TIMEOUT
            )
        except (OSError, asyncio.TimeoutError) as error:
            self._logger.log(
                logging.DEBUG if self._complained else logging.WARNING,
                "Cannot connect to %s: %s",
                self.bind_address_string,
                str(error) or type(error).__name__,
            )
            self._complained = True  # once an outage; it may be tried for days
            if not link.gone.done():
                link.gone.set_result(None)
            return None
        return link

    def link_opened(self, link: Link) -> None:
        """Begin with a connection (called by the link)."""
        if not self._started or link.to_itself:
            link.drop()
            return
        self._complained = False
        self._link = link
        self.last_connect_time = link.pump.loop.time()
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
        self._connected.clear()
        self._received_protocol_info.clear()
        self._disconnected.set()
        self._logger.debug("Lost connection to %s: %s", self.bind_address_string, reason)
        self.connection_closed(reason)
        self._notify(False)

    def _notify(self, connected: bool) -> None:
        try:
            awaitable = self.notify_connected(connected)
        except Exception:
            self._logger.exception("notify_connected(%s) raised", connected)
            if connected:
                self.disconnect()
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

    def disconnect(self) -> None:
        """Close the connection; it is made again unless the client is not to reconnect."""
        if self._link is not None:
            self._link.close()

    # -- what state it is in ------------------------------------------------------------

    def running(self) -> bool:
        """Tell whether the client is started and not stopped."""
        return self._running.is_set()

    def is_connected(self) -> bool:
        """Tell whether there is a TCP connection to the device."""
        return self._connected.is_set()

    def _until(self, event: AsyncEvent, timeout: float | None) -> asyncio.Future[Any]:
        if event.is_set() or self._over is None:
            return event.until_set(timeout)
        return failed(self._over, self._ioloop)

    def until_running(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the client runs; see `until_connected`."""
        return self._until(self._running, timeout)

    def until_connected(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when there is a TCP connection.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        KatcpClientError
            From the future, if the client is stopped, or gives up.
        """
        return self._until(self._connected, timeout)

    def until_protocol(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when it is known which protocol the device speaks.

        That is forgotten when the connection is lost. See `until_connected`.
        """
        return self._until(self._received_protocol_info, timeout)

    def until_stopped(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the client has stopped.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        return self._stopped.until_set(timeout)

    def _wait(self, event: AsyncEvent, timeout: float | None) -> bool:
        if self._ioloop is None:
            raise RuntimeError("Call start() first")
        if self._over is not None:
            return event.is_set()
        if self._here():
            raise RuntimeError("Waiting like this would block the client's own loop.")
        return event.wait_with_ioloop(self._ioloop, timeout)

    def wait_running(self, timeout: float | None = None) -> bool:
        """Block until the client runs, in threads other than that of its loop.

        Returns
        -------
        bool
            False if that took longer than `timeout` seconds.
        """
        return self._wait(self._running, timeout)

    def wait_connected(self, timeout: float | None = None) -> bool:
        """Block until there is a TCP connection; see `wait_running`."""
        return self._wait(self._connected, timeout)

    def wait_disconnected(self, timeout: float | None = None) -> bool:
        """Block until there is no TCP connection; see `wait_running`."""
        return self._wait(self._disconnected, timeout)

    def wait_protocol(self, timeout: float | None = None) -> bool:
        """Block until the protocol is known; see `wait_running`."""
        return self._wait(self._received_protocol_info, timeout)

    # -- addresses ----------------------------------------------------------------------

    @property
    def bind_address(self) -> tuple[str, int]:
        """Address of the device."""
        return self._bindaddr

    @property
    def bind_address_string(self) -> str:
        """Address of the device, as ``host:port``."""
        return address_to_string(self._bindaddr)

    @property
    def sockname(self) -> tuple[str, int]:
        """Own address; port -1 if not connected."""
        name = self._link and self._link.transport.get_extra_info("sockname")
        return (name[0], name[1]) if name else ("", -1)

    @property
    def sockname_string(self) -> str:
        """Own address, as ``host:port``."""
        return address_to_string(self.sockname)
