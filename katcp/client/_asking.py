"""Asking: requests with their time limits, from the call to the wire."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from katcp.aio import ExponentialRandomBackoff, WaitTimeout
from katcp.client._device import LONG_LINE, DeviceClient
from katcp.client._life import log
from katcp.client._link import Link
from katcp.client._owners import Callbacks, MessageCallback, WireFuture, fail
from katcp.client._pending import Pending, PendingTable, mid_key, request_line
from katcp.errors import KatcpClientDisconnected, KatcpClientError, KatcpVersionError
from katcp.protocol import Message

_INFINITY = float("inf")
#: With many requests pending, deadlines are looked through at most this often for each [s].
_SWEEP = 1e-6

Result = tuple[Message, list[Message]]
Arguments = tuple[bytes, ...]
WireResult = tuple[Arguments, list[Arguments]]


class AskingClient(DeviceClient):
    """A client that sends requests and keeps account of those that wait for their reply.

    Parameters
    ----------
    host, port, tb_limit, logger, auto_reconnect, reconnect_backoff, greeting_timeout
        See `DeviceClient`.
    timeout : float, optional
        Time limit of a request for which none is given [s]; None for none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tb_limit: int = 20,
        timeout: float | None = 5.0,
        logger: logging.Logger = log,
        auto_reconnect: bool = True,
        *,
        reconnect_backoff: ExponentialRandomBackoff | None = None,
        greeting_timeout: float = 2.0,
    ) -> None:
        super().__init__(
            host,
            port,
            tb_limit,
            logger,
            auto_reconnect,
            reconnect_backoff=reconnect_backoff,
            greeting_timeout=greeting_timeout,
        )
        self._request_timeout = timeout
        self._table = PendingTable()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _INFINITY
        # The connection, if the device is known to support ids: requests can go out at once.
        self._quick_link: Link | None = None

    @property
    def request_timeout(self) -> float | None:
        """Time limit of a request for which none is given [s]; None for none."""
        return self._request_timeout

    # -- asking -------------------------------------------------------------------------

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._asyncio_loop is not None and loop is not self._asyncio_loop:
            raise RuntimeError("This client is not thread-safe: use it in its own loop only.")
        return loop

    def future_request(
        self, msg: Message, timeout: float | None = None, use_mid: bool | None = None
    ) -> asyncio.Future[Result]:
        """Send a request; return a future of ``(reply, [informs])``.

        Parameters
        ----------
        msg : Message
            Its `mid` is set to the id used.
        timeout : float, optional
            Time limit [s]; None means the client's own, 0 at once.
        use_mid : bool, optional
            Whether to use an id; by default if the device supports them.

        Notes
        -----
        The future does not fail because of the device: ``!name fail TEXT`` is made up if there
        is no reply in time, or no connection. It does fail with `ValueError` for a message id
        that is in use already.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        link = self._quick_link
        if (
            link is None
            or msg.mid is not None
            or use_mid is not None
            or loop is not self._asyncio_loop
        ):
            try:
                self._ask(self._own_loop(), msg, future, timeout, use_mid)
            except ValueError as error:
                future.set_exception(error)
            return future
        # What nearly every request comes to; the same as `_ask` and `_send_pending`, in one.
        now = loop.time()
        pending = Pending(msg, future, now, self._request_timeout if timeout is None else timeout)
        pending.mid = mid = self._table.next_mid()
        self._table.by_mid[mid] = pending
        msg.mid = b"%d" % mid
        pending.line = line = request_line(pending.name, msg)
        if len(line) > LONG_LINE:
            self.warn_of_long_line(line)
        try:
            link.send(line)
        except KatcpClientError as error:
            self._table.withdraw(pending)
            fail(pending, error)
        if pending.deadline < self._timer_at:
            self._set_timer(pending.deadline, now)
        return future

    def wire_request(
        self, msg: Message, timeout: float | None = None
    ) -> asyncio.Future[WireResult]:
        """Send a request; return a future of the arguments of its reply and of its informs.

        For long lists, of which no `Message` need be made: ``((b"ok", b"1"), [(b"a.b", ...)])``.
        Unlike that of `future_request` the future fails if there is no reply: with
        `tornado.gen.TimeoutError`, `KatcpClientDisconnected` or another `KatcpClientError`.
        """
        loop = self._own_loop()
        future: asyncio.Future[WireResult] = loop.create_future()
        self._ask(loop, msg, WireFuture(future), timeout, None)
        return future

    def callback_request(
        self,
        msg: Message,
        reply_cb: MessageCallback | None = None,
        inform_cb: MessageCallback | None = None,
        user_data: tuple[Any, ...] | None = None,
        timeout: float | None = None,
        use_mid: bool | None = None,
    ) -> None:
        """Send a request; have callbacks told of its informs and its reply.

        Parameters
        ----------
        msg, timeout, use_mid
            See `future_request`; failures are made up in the same way.
        reply_cb, inform_cb : callable, optional
            Called as ``cb(message, *user_data)``, in the loop. What they raise is logged.
        user_data : tuple, optional

        Raises
        ------
        ValueError
            For a message id that is in use already.
        """
        owner = Callbacks(self.call_back, reply_cb, inform_cb, tuple(user_data or ()))
        self._ask(self._own_loop(), msg, owner, timeout, use_mid)

    def call_back(self, callback: MessageCallback, *args: object) -> None:
        """Call a callback of a user; log what it raises."""
        try:
            callback(*args)
        except Exception:
            self._logger.exception("Error in callback %r", callback)

    def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        msg: Message,
        owner: Any,
        timeout: float | None,
        use_mid: bool | None,
    ) -> None:
        now = loop.time()
        pending = Pending(msg, owner, now, self._request_timeout if timeout is None else timeout)
        link = self._link
        if link is None or link.closed:
            self._refuse(loop, pending, self._not_connected())
            return
        if self._flags is None:
            pending.use_mid = use_mid
            self._table.hold(pending)
        else:
            self._send_pending(link, pending, use_mid)
        if pending.deadline < self._timer_at:
            self._set_timer(pending.deadline, now)

    def _send_pending(self, link: Link, pending: Pending, use_mid: bool | None) -> None:
        table, msg = self._table, pending.message
        if msg.mid is None:
            if self._server_supports_ids if use_mid is None else use_mid:
                pending.mid = mid = table.next_mid()
                msg.mid = b"%d" % mid
        elif use_mid is False:
            msg.mid = None
        else:
            pending.mid = mid_key(msg.mid)
        if pending.mid is not None and not self._server_supports_ids:
            error = KatcpVersionError("Message IDs not supported by server")
            self._refuse(link.pump.loop, pending, error)
            return
        line = request_line(pending.name, msg)
        if len(line) > LONG_LINE:
            self.warn_of_long_line(line)
        pending.line = line
        if table.add(pending):
            self._write(link, pending)

    def _next_id(self) -> bytes:
        return b"%d" % self._table.next_mid()

    def _write(self, link: Link, pending: Pending) -> None:
        try:
            link.send(pending.line)
        except KatcpClientError as error:
            self._table.withdraw(pending)
            fail(pending, error)

    def _refuse(
        self, loop: asyncio.AbstractEventLoop, pending: Pending, error: KatcpClientError
    ) -> None:
        """Fail a request that was not sent, but not before the caller has its future."""
        loop.call_soon(fail, pending, error)

    def _fail_all(self, error: KatcpClientError) -> None:
        for pending in self._table.clear():
            fail(pending, error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = _INFINITY

    # -- time limits --------------------------------------------------------------------

    def _set_timer(self, deadline: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Looking through many requests takes a while: not more than a small share of the time.
        at = max(deadline, now + _SWEEP * len(self._table.by_mid))
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._time_is_over)

    def _time_is_over(self) -> None:
        # A timer may be early by the resolution of the clock.
        now = max(asyncio.get_running_loop().time(), self._timer_at)
        self._timer = None
        self._timer_at = _INFINITY
        expired, to_send = self._table.expire(now)
        earliest = self._table.earliest()
        if earliest < _INFINITY:
            self._set_timer(earliest, now)
        for pending in expired:
            name, waited = pending.message.name, now - pending.started
            fail(pending, WaitTimeout(f"Request {name} timed out after {waited:f} seconds."))
        link = self._link
        if link is None:
            return
        for pending in to_send:
            self._write(link, pending)
        confused = self._table.confused()
        if confused is not None:
            link.abort(f"replies to ?{confused.decode('ascii')} are out of step with requests")

    # -- the connection -----------------------------------------------------------------

    def protocol_known(self, revised: bool) -> None:
        """Send the requests that waited for this."""
        super().protocol_known(revised)
        link = self._link
        self._quick_link = link if self._server_supports_ids else None
        if link is None:
            return
        for pending in self._table.release():
            try:
                self._send_pending(link, pending, pending.use_mid)
            except ValueError as error:
                fail(pending, error)

    def connection_closed(self, reason: str) -> None:
        """Fail all that is pending."""
        super().connection_closed(reason)
        self._quick_link = None
        self._fail_all(KatcpClientDisconnected("Connection closed before reply was received"))

    def client_ended(self) -> None:
        """Fail all that is pending."""
        super().client_ended()
        self._fail_all(KatcpClientError("Client stopped before reply was received"))
