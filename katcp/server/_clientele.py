"""Clients coming and going: which are taken in, their greeting, their farewell, their number.

A client has a place from the moment in which `Admission` gives it one until `_forget` takes it
back. It is *undecided* while the access policy takes its time, *greeted* while `on_client_connect`
does, and one of `connections` from its greeting on.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, ClassVar

from katcp.errors import FailReply, KatcpSyntaxError
from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import Message, WireMessage
from katcp.server._access import Gate
from katcp.server._admission import Admission
from katcp.server._carried import Device
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import error_of
from katcp.server._load import Load
from katcp.server._outlet import Outlet
from katcp.server._plain_device import PlainDevice
from katcp.server._request import Sent
from katcp.server._seldom import SeldomLog
from katcp.server._statistics import Counters, Statistics
from katcp.transport import TOO_SLOW, format_address


class Clientele(Outlet):
    """The part of `KATCPServer` that takes clients in and lets them go.

    Parameters
    ----------
    device : Device
        Whose clients these are, or something that has `on_client_connect` and the like.
    logger : logging.Logger
    """

    #: How long a client that is disconnected may take to read what waits [s].
    DISCONNECT_TIMEOUT: ClassVar[float] = 1

    #: Not None while the server stops, and from then on until it is started again.
    _stopping: asyncio.Event | None

    def __init__(self, device: Any, logger: logging.Logger) -> None:
        super().__init__()
        self._device: Device = device if hasattr(device, "start_message") else PlainDevice(device)
        self._logger = logger
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
        #: Futures of hooks that take their time.
        self._greeting: set[asyncio.Future[Any]] = set()
        self._goodbyes: set[asyncio.Future[Any]] = set()

    def running(self) -> bool:
        """Tell whether clients are served."""
        return self._running.is_set()

    @property
    def start_message(self) -> Callable[[ClientConnection, WireMessage | KatcpSyntaxError], bool]:
        """What begins to handle a message or a syntax error; true: hold back the next one."""
        return self._device.start_message

    # -- whether a client is taken in ---------------------------------------------------

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
            until_lost = connection.until_lost(self.DISCONNECT_TIMEOUT)
            goodbye = asyncio.ensure_future(until_lost)
            self._goodbyes.add(goodbye)
            goodbye.add_done_callback(self._goodbyes.discard)
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
