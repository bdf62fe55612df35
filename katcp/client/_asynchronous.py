"""Requests with their replies: as futures, or by callbacks."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from katcp.aio import ExponentialRandomBackoff, finish_guarded
from katcp.client._blocking import BlockingAsking
from katcp.client._device import DeviceClient, Event
from katcp.client._heartbeat import Heartbeat
from katcp.client._life import log
from katcp.client._link import Link
from katcp.client._owners import WireFuture, as_message, finish, take_inform
from katcp.client._pending import Pending, mid_key
from katcp.client._runs import RUN, Run, one_by_one
from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import INFORM, REPLY, Message, make_message, to_message

#: So often is read (64 kB at most) before it is looked how much memory waiting informs take.
_LOOK_AFTER = 16

WireHook = Callable[[list[bytes]], object]
_REPLY = Message.REPLY
#: What the loops of asyncio make; those of others are not so quick to recognise.
_Future = asyncio.Future
RunHook = Callable[[list[bytes]], object]


def _ignore(msg: Message) -> None:
    pass


class AsyncClient(BlockingAsking):
    """A client whose requests have replies: as futures or by callbacks.

    Requests made before it is known what the device speaks are sent as soon as it is. To a
    device without message ids, one request of each name is sent at a time.

    Parameters
    ----------
    host, port, tb_limit, logger, auto_reconnect, reconnect_backoff, greeting_timeout
        See `DeviceClient`.
    ssl_context, server_hostname
        See `DeviceClient`.
    timeout : float, optional
        Time limit of a request for which none is given [s]; None for none.
    heartbeat : float, optional
        A device that has been silent for this long is asked for a sign of life
        (``?watchdog``); one that stays silent for as long again is disconnected [s]. By
        default only the keep-alive of TCP notices a device that is gone without a word.
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
        heartbeat: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(
            host,
            port,
            tb_limit,
            timeout,
            logger,
            auto_reconnect,
            reconnect_backoff=reconnect_backoff,
            greeting_timeout=greeting_timeout,
            ssl_context=ssl_context,
            server_hostname=server_hostname,
        )
        self.heartbeat = heartbeat
        self._heart: Heartbeat | None = None
        # Told of every inform of a name before anything else is, also of those of a reply.
        self._wire_hooks: dict[bytes, list[WireHook]] = {}
        # Told of many at once, as they came, when nobody else wants them.
        self._run_hooks: dict[bytes, RunHook] = {}
        self._inform_hooks: dict[str, list[Callable[[Message], object]]] = {}
        # How often something has been read since the informs that wait were last measured.
        self._reads = 0
        # Whether the methods that handle messages are those of this class, so that messages
        # need not be made of informs and replies that belong to requests.
        self._fast = False

    # -- being answered -----------------------------------------------------------------

    def handle_events(self, events: Iterator[Event]) -> None:
        """Give replies and their informs to who waits for them; see to the rest."""
        if not self._fast:
            super().handle_events(one_by_one(events))
            return
        table = self._table
        by_mid = table.by_mid
        hooks, told = self._wire_hooks, self._inform_hooks
        for event in events:
            try:
                kind = event.mtype  # type: ignore[union-attr]
            except AttributeError:  # an error
                self.handle_event(event)
                continue
            name, mid = event.name, event.mid  # type: ignore[union-attr]
            if kind is REPLY:
                pending = by_mid.get(mid)  # type: ignore[arg-type]  # None is in no table
                if pending is not None and pending.name == name:
                    del by_mid[mid]  # type: ignore[arg-type]
                    owner, sent = pending.owner, pending.message
                    if type(owner) is _Future and pending.informs is None and sent.mid is not None:
                        # What `finish` comes to for nearly every request, at half the cost.
                        if not owner.done():
                            arguments = event.arguments  # type: ignore[union-attr]
                            owner.set_result(
                                (make_message(_REPLY, sent.name, arguments, sent.mid), [])
                            )
                    else:
                        finish(pending, event)
                    continue
                if mid is None and self._take_reply_without_id(name, event):
                    continue
            elif kind is INFORM:
                if name in hooks:
                    self._run_wire_hooks(name, event.arguments)  # type: ignore[union-attr]
                pending = by_mid.get(mid) if mid is not None else table.inform(name, None)
                if pending is not None and pending.name == name:
                    informs = pending.informs
                    if informs is None or type(pending.owner) is not WireFuture or told:
                        self._take_inform(pending, event)
                    else:  # what a long list comes to; the same, only quicker
                        informs.append(tuple(event.arguments))  # type: ignore[union-attr]
                    continue
                if mid is None and table.to_skip and table.doubt(name, event, False):
                    continue
                if self._nobody_cares(name):
                    continue
            elif kind is RUN:
                if self._take_run(event):  # type: ignore[arg-type]
                    continue
                self.handle_events(chain(event.messages(), events))  # type: ignore[union-attr]
                return
            awaitable = self._guard(self._handle_unmatched, to_message(event))  # type: ignore[arg-type]
            if awaitable is not None:
                self.hold_events(awaitable, events)
                return

    def _take_run(self, run: Run) -> bool:
        """Give many informs at once to the one who wants them; tell whether that could be done."""
        name, mid = run.name, run.mid
        if mid is not None:
            pending = self._table.by_mid.get(mid)
            if (
                pending is None
                or pending.name != name
                or type(pending.owner) is not WireFuture
                or not pending.owner.raw
                or name in self._wire_hooks
                or self._inform_hooks
            ):
                return False
            if pending.informs is None:
                pending.informs = run.tails
            else:
                pending.informs += run.tails
            return True
        hook = self._run_hooks.get(name)
        if (
            hook is None
            or len(self._wire_hooks[name]) != 1
            or self._table.waits_for(name)
            or not self._nobody_cares(name)
        ):
            return False
        try:
            hook(run.tails)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("Error in hook of #%s", name.decode("ascii"))
        return True

    def _take_inform(self, pending: Pending, event: Any) -> None:
        if self._inform_hooks:
            name = pending.name.decode("ascii")
            if name in self._inform_hooks:
                self._run_inform_hooks(name, as_message(event))
        take_inform(pending, event)

    def _take_reply_without_id(self, name: bytes, event: Any) -> bool:
        """Give a reply without id to its request, and send the next one of that name."""
        kept = self._table.doubt(name, event, True)
        pending = self._table.reply(name, None)
        if pending is None:
            return kept
        if pending.mid is not None:
            self._logger.warning(
                "Device %s left the id out of its reply to %s",
                self.bind_address_string,
                name.decode("ascii"),
            )
        else:
            following = self._table.following(name)
            if following is not None and self._link is not None:
                self._write(self._link, following)
        finish(pending, event)
        return True

    def _nobody_cares(self, name: bytes) -> bool:
        """Tell whether no message need be made of an inform, as there is nobody to take it."""
        if name == b"disconnect":
            return False
        text = name.decode("ascii")
        if text in self._inform_handlers or text in self._inform_hooks:
            return False
        return (
            type(self).unhandled_inform is DeviceClient.unhandled_inform
            and "unhandled_inform" not in self.__dict__
        )

    def _handle_unmatched(self, msg: Message) -> Any:
        """Handle a message that belongs to no request of ours."""
        if msg.mtype == Message.INFORM:
            if msg.name in self._inform_hooks:
                self._run_inform_hooks(msg.name, msg)
            return super().handle_inform(msg)
        if msg.mtype == Message.REPLY:
            return super().handle_reply(msg)
        return self.handle_request(msg)

    def nobody_asked(self, msg: Message) -> None:
        """Hand a reply or inform of a request without a callback to who takes the others."""
        awaitable = self._guard(self._handle_unmatched, msg)
        if awaitable is not None:
            asyncio.ensure_future(  # noqa: RUF006  # it logs what it raises and ends by itself
                finish_guarded(self._logger, f"The handler of {msg.name}", awaitable)
            )

    def handle_inform(self, msg: Message) -> Any:
        """Give an inform to the request that it belongs to, or else to ``inform_NAME``."""
        name = msg.name.encode("ascii")
        if name in self._wire_hooks:
            self._run_wire_hooks(name, msg.arguments)
        pending = self._table.inform(name, None if msg.mid is None else mid_key(msg.mid))
        if pending is None:
            if msg.mid is None and self._table.doubt(name, msg, False):
                return None
            return self._handle_unmatched(msg)
        self._take_inform(pending, msg)
        return None

    def handle_reply(self, msg: Message) -> Any:
        """Give a reply to the request that it belongs to, or else to ``reply_NAME``."""
        name = msg.name.encode("ascii")
        if msg.mid is None:
            if self._take_reply_without_id(name, msg):
                return None
        else:
            pending = self._table.reply(name, mid_key(msg.mid))
            if pending is not None:
                finish(pending, msg)
                return None
        return self._handle_unmatched(msg)

    # -- hooks --------------------------------------------------------------------------

    def hook_wire_inform(
        self, name: str, callback: WireHook, run_callback: RunHook | None = None
    ) -> None:
        """Have ``callback(arguments)`` called for each inform of that name, before all else.

        Also for those that belong to a reply. No `Message` is made.

        Parameters
        ----------
        name : str
        callback : callable
        run_callback : callable, optional
            Does the same for many informs that come in a row and that nobody else wants. Called
            with a list of what stood behind the name in each, from which
            `katcp.client.arguments_in` gets the arguments.
        """
        key = name.encode("ascii")
        hooks = self._wire_hooks.setdefault(key, [])
        if callback in hooks:
            return
        hooks.append(callback)
        if run_callback is not None:
            self._run_hooks[key] = run_callback
            if self._link is not None:
                self._link.parser.take_runs(key)

    def _run_wire_hooks(self, name: bytes, arguments: list[bytes]) -> None:
        for hook in self._wire_hooks[name]:
            try:
                hook(arguments)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self._logger.exception("Error in hook of #%s", name.decode("ascii"))

    def _run_inform_hooks(self, name: str, msg: Message) -> None:
        for hook in list(self._inform_hooks[name]):
            try:
                hook(msg)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self._logger.exception("Error in hook of #%s", name)

    # -- the connection -----------------------------------------------------------------

    def look_for_short_cuts(self) -> None:
        """See which methods are our own, which need not be called."""
        self._fast = self.is_plain(AsyncClient, "handle_message", "handle_inform", "handle_reply")
        super().look_for_short_cuts()

    def connection_opened(self, link: Link) -> None:
        """Begin afresh."""
        super().connection_opened(link)
        for name in self._run_hooks:
            link.parser.take_runs(name)
        if self.heartbeat is not None:
            self._heart = Heartbeat(
                link.pump.loop, self.heartbeat, self._ask_heart, link.abort, self._is_waiting
            )

    def _ask_heart(self) -> None:
        self.callback_request(Message.request("watchdog"), _ignore, timeout=self.heartbeat)

    def _is_waiting(self, since: float) -> bool:
        """Tell whether requests wait for their replies that were made before a time.

        Those for lists do not count: a device does not think about them.
        """
        return any(
            pending.started < since and type(pending.owner) is not WireFuture
            for pending in self._table.on_the_wire()
        )

    def connection_received(self, events: list[Event]) -> None:
        """Handle what came."""
        if self._heart is not None:
            self._heart.heard = True
        super().connection_received(events)
        self._reads += 1
        if self._reads >= _LOOK_AFTER:
            self._reads = 0
            self.look_at_sizes()

    def connection_closed(self, reason: str) -> None:
        """Fail all that is pending, and listen for the heart no more."""
        super().connection_closed(reason)
        if self._heart is not None:
            self._heart.stop()
            self._heart = None

    def stop(self, *args: Any, **kwargs: Any) -> ThreadsafeFuture:
        """Close the connection and end; see `DeviceClient`."""
        return super().stop(*args, **kwargs)
