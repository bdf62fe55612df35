"""What state a client is in, and waiting for a state: in the loop, or in another thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import AsyncEvent, failed
from katcp.client._link import Link
from katcp.client._threads import Answer, Closed, Inbox
from katcp.errors import KatcpClientError
from katcp.transport import format_address


def address_to_string(addr_tuple: tuple[Any, ...]) -> str:
    """Return an address as ``host:port``."""
    return format_address(addr_tuple)


class ClientState:
    """The events in the life of a client, for those who want to know and to wait.

    Parameters
    ----------
    host : str
        Name or address of the device; empty for this host.
    port : int
    """

    def __init__(self, host: str, port: int) -> None:
        self._bindaddr = (host or "0.0.0.0", port)
        #: Thread of the loop, once running.
        self.ioloop_thread_id: int | None = None
        self._ioloop: IOLoop | None = None
        self._link: Link | None = None
        # What other threads want to be done in the loop.
        self._inbox = Inbox()
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

    def _here(self) -> bool:
        """Tell whether this is the thread of the running loop of this client."""
        return threading.get_ident() == self.ioloop_thread_id

    def _wait(self, event: AsyncEvent, timeout: float | None) -> bool:
        if self._ioloop is None:
            raise RuntimeError("Call start() first")
        if self._over is not None:
            return event.is_set()
        if self._here():
            raise RuntimeError("Waiting like this would block the client's own loop.")
        answer = Answer()

        def report(future: asyncio.Future[Any]) -> None:
            answer.set_result(not future.cancelled() and future.exception() is None)

        try:
            self._inbox.put(lambda: event.until_set(timeout).add_done_callback(report))
        except Closed:  # stopped since we looked
            return event.is_set()
        return answer.wait(timeout) and bool(answer.get())

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
        """Own address; that of the device with port -1 if not connected."""
        name = self._link and self._link.transport.get_extra_info("sockname")
        return (name[0], name[1]) if name else (self._bindaddr[0], -1)

    @property
    def sockname_string(self) -> str:
        """Own address, as ``host:port``."""
        return address_to_string(self.sockname)
