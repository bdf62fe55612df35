"""Asking: requests with their time limits, from the call to the wire."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any

from katcp.aio import ExponentialRandomBackoff, WaitTimeout
from katcp.client._device import LONG_LINE
from katcp.client._life import log
from katcp.client._link import Link
from katcp.client._owners import (
    Callbacks,
    MessageCallback,
    Streamed,
    WireFuture,
    fail,
    finish,
    take_inform,
)
from katcp.client._pending import OVERGROWN, Pending, PendingTable, mid_key, request_line
from katcp.client._short_cuts import ShortCutClient
from katcp.client._threads import make_threadsafe, queue_call
from katcp.errors import KatcpClientDisconnected, KatcpClientError, KatcpVersionError
from katcp.protocol import MAX_MID, Message

_INFINITY = float("inf")
#: With many requests pending, deadlines are looked through at most this often for each [s].
_SWEEP = 1e-6
#: A pause that is too short to be kept [s].
_SHORT = 1e-4

#: Why a request fails when its client is stopped.
ENDED = "Client stopped before reply was received"

Result = tuple[Message, list[Message]]
Arguments = tuple[bytes, ...]
WireResult = tuple[Arguments, list[Arguments]]
RawResult = tuple[Arguments, list[Arguments | bytes]]


class AskingClient(ShortCutClient):
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
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        self._table = PendingTable()
        super().__init__(
            host,
            port,
            tb_limit,
            logger,
            auto_reconnect,
            reconnect_backoff=reconnect_backoff,
            greeting_timeout=greeting_timeout,
            ssl_context=ssl_context,
            server_hostname=server_hostname,
        )
        self._request_timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _INFINITY
        # The connection, if the device is known to support ids: requests can go out at once.
        self._quick_link: Link | None = None
        self._clock = time.monotonic
        # Whether requests go by methods of a subclass on their way out.
        self._detour = False

    def look_for_short_cuts(self) -> None:
        """See which methods are our own, which need not be called."""
        self._detour = not self.is_plain(AskingClient, "send_request", "send_message", "_next_id")
        quick = self._flags is not None and self._server_supports_ids and not self._detour
        self._quick_link = self._link if quick else None
        loop = self._asyncio_loop
        if loop is not None:
            # The clock of asyncio's own loops, without the step between.
            plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
            self._clock = time.monotonic if plain else loop.time

    @property
    def _last_msg_id(self) -> int:
        """The last id that was given to a request."""
        return self._table.last_mid

    @_last_msg_id.setter
    def _last_msg_id(self, mid: int) -> None:
        self._table.last_mid = mid

    @property
    def request_timeout(self) -> float | None:
        """Time limit of a request for which none is given [s]; None for none."""
        return self._request_timeout

    # -- asking -------------------------------------------------------------------------

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise self._not_threadsafe() from None
        if self._asyncio_loop is not None and loop is not self._asyncio_loop:
            raise self._not_threadsafe()
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
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise self._not_threadsafe() from None
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
        # What nearly every request comes to: the same as `_ask` and `_send_pending`, in one,
        # which takes 1.2 µs where they take 2.5.
        table = self._table
        now = self._clock()
        mid = table.last_mid + 1
        if mid > MAX_MID or mid in table.by_mid:
            mid = table.next_mid()
        table.last_mid = mid
        if timeout is None:
            timeout = self._request_timeout
        table.by_mid[mid] = pending = Pending(msg, future, now, timeout, mid)
        msg.mid = b"%d" % mid
        line = request_line(pending.name, msg)
        if len(line) > LONG_LINE:
            self.warn_of_long_line(line)
        try:
            link.send(line)
        except KatcpClientError as error:
            table.withdraw(pending)
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

    def raw_request(self, msg: Message, timeout: float | None = None) -> asyncio.Future[RawResult]:
        r"""Do the same as `wire_request`, but leave informs as they came where that is quicker.

        For thousands of informs, few of which will be looked at: in place of a tuple of
        arguments there may be the bytes that stood behind name and id on the wire, such as
        ``b"a.b An\\_int. V integer"``. `katcp.client.arguments_in` takes these apart.
        """
        loop = self._own_loop()
        future: asyncio.Future[RawResult] = loop.create_future()
        self._ask(loop, msg, WireFuture(future, raw=True), timeout, None)
        return future

    def stream_request(
        self,
        msg: Message,
        inform_cb: Callable[[list[bytes]], object],
        timeout: float | None = None,
    ) -> asyncio.Future[list[bytes]]:
        """Send a request; return a future of the arguments of its reply.

        Parameters
        ----------
        msg, timeout
            See `future_request`; the future fails as that of `wire_request` does.
        inform_cb : callable
            Called with the arguments of each inform as it comes; what it raises is logged.
        """
        loop = self._own_loop()
        future: asyncio.Future[list[bytes]] = loop.create_future()
        self._ask(loop, msg, Streamed(future, inform_cb, self.call_back), timeout, None)
        return future

    @make_threadsafe
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
            Called as ``cb(message, *user_data)``, in the loop. What they raise is logged. Where
            there is none, messages go to ``reply_NAME`` and ``inform_NAME``, or else to
            `unhandled_reply` and `unhandled_inform`.
        user_data : tuple, optional

        Raises
        ------
        ValueError
            For a message id that is in use already.
        """
        data = tuple(user_data or ())
        if self._threadsafe and not self._here():  # by way of an override without a mark
            args = (msg, reply_cb, inform_cb, data, timeout, use_mid)
            queue_call(self, AskingClient.callback_request, self, *args)
            return
        owner = Callbacks(self.call_back, reply_cb, inform_cb, data, self.nobody_asked)
        self._ask(self._own_loop(), msg, owner, timeout, use_mid)

    def call_back(self, callback: MessageCallback, *args: object) -> None:
        """Call a callback of a user; log what it raises."""
        try:
            callback(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("Error in callback %r", callback)

    def nobody_asked(self, msg: Message) -> None:
        """Take a reply or inform of a request that came without a callback for it."""

    def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        msg: Message,
        owner: Any,
        timeout: float | None,
        use_mid: bool | None,
    ) -> None:
        if msg.mtype != Message.REQUEST:
            raise ValueError(f"{msg!r} is not a request.")
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
                if self._detour:
                    msg.mid = self._next_id()
                    pending.mid = mid_key(msg.mid)
                else:
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
            if type(pending.owner) is WireFuture and pending.owner.raw:
                self._expect_run(link, pending)

    def _expect_run(self, link: Link, pending: Pending) -> None:
        """Have the informs of a request taken in runs until it is done, whatever becomes of it."""
        if isinstance(pending.mid, int):
            beginnings = link.parser.beginnings
            beginning = link.parser.take_runs(pending.name, pending.mid)
            pending.owner.future.add_done_callback(lambda _: beginnings.pop(beginning, None))

    def _next_id(self) -> bytes:
        return b"%d" % self._table.next_mid()

    def _write(self, link: Link, pending: Pending) -> None:
        try:
            if self._detour:
                self.send_request(pending.message)
            else:
                link.send(pending.line)
        except Exception as error:
            if not isinstance(error, KatcpClientError):
                self._logger.exception("Error while sending %r", pending.message)
            self._table.withdraw(pending)
            fail(pending, error)

    def _handle_timeout(self, msg_id: bytes, start_time: float) -> None:
        """Fail a request as if its time were over; does nothing if it is not pending.

        Parameters
        ----------
        msg_id : bytes
            Its id.
        start_time : float
            Time of its sending, by the clock of `ioloop` [s].
        """
        pending = self._table.by_mid.pop(mid_key(msg_id), None)
        if pending is not None and self._ioloop is not None:
            self._timed_out(pending, self._ioloop.time() - start_time)

    def _timed_out(self, pending: Pending, waited: float) -> None:
        name = pending.message.name
        fail(pending, WaitTimeout(f"Request {name} timed out after {waited:f} seconds."))

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
        loop = asyncio.get_running_loop()
        # Looking through many requests takes a while: not more than a small share of the time.
        pause = _SWEEP * len(self._table.by_mid)
        if deadline <= now and pause < _SHORT:
            # At once means before the loop looks what has come: an answer might be in time.
            self._expire(now, lambda one, at: loop.call_soon(self._give_up, one, at))
            return
        at = max(deadline, now + pause)
        self._timer_at = at
        self._timer = loop.call_at(at, self._time_is_over)

    def _time_is_over(self) -> None:
        # A timer may be early by the resolution of the clock.
        self._expire(max(asyncio.get_running_loop().time(), self._timer_at), self._give_up)

    def _expire(self, now: float, give_up: Callable[[Pending, float], object]) -> None:
        """Give up the requests whose time is over, and send those that have waited for them."""
        self._timer = None
        self._timer_at = _INFINITY
        expired, to_send = self._table.expire(now)
        earliest = self._table.earliest()
        if earliest < _INFINITY:
            self._set_timer(earliest, now)
        for pending in expired:
            give_up(pending, now)
        link = self._link
        if link is not None:
            for pending in to_send:
                self._write(link, pending)

    def look_at_sizes(self) -> None:
        """Give up requests whose informs take too much memory."""
        if self._table.give_up_overgrown(self.MAX_INFORMS_SIZE):
            if self._timer is not None:
                self._timer.cancel()
            self._expire(asyncio.get_running_loop().time(), self._give_up)

    def _give_up(self, pending: Pending, now: float) -> None:
        if pending.deadline == OVERGROWN:
            pending.informs = None
            name, limit = pending.message.name, self.MAX_INFORMS_SIZE
            text = f"The informs of request {name} take more than {limit} bytes."
            self._logger.warning("Device %s: %s", self.bind_address_string, text)
            fail(pending, KatcpClientError(text))
            return
        answer = getattr(pending, "answer", None)
        if answer is None:
            self._timed_out(pending, now - pending.started)
            return
        pending.informs = None
        for inform in answer.informs:
            take_inform(pending, inform)
        finish(pending, answer.reply)

    # -- the connection -----------------------------------------------------------------

    def connection_opened(self, link: Link) -> None:
        """Look which way requests go on this connection."""
        self.look_for_short_cuts()
        super().connection_opened(link)

    def protocol_known(self, revised: bool) -> None:
        """Send the requests that waited for this."""
        super().protocol_known(revised)
        link = self._link
        self.look_for_short_cuts()
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
        self._fail_all(KatcpClientError(ENDED))
