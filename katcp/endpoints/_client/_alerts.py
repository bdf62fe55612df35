"""Alerts of another device, as they come, over a connection that may come and go."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from katcp.endpoints._alerts import Alert, checked_pattern, matches
from katcp.endpoints._client._asking import Asker, checked_timeout
from katcp.endpoints._client._client import DEFAULT_TIMEOUT
from katcp.endpoints._codes import (
    BrokerConnectionError,
    EndpointError,
    InvalidRequestError,
    RequestTimeoutError,
)
from katcp.endpoints._values import from_argument
from katcp.errors import KatcpClientError
from katcp.protocol import SEC_TO_MS_FAC, SEC_TS_KATCP_MAJOR, Message

log = logging.getLogger("katcp.endpoints")

#: Alerts that a feed keeps for whoever reads it.
MOST = 1000

#: After a subscription that went wrong on the way, until it is tried again [s].
_PAUSE = 1.0


class AlertFeed:
    """Alerts that match some patterns: an asynchronous iterator, and context manager.

    `AlertClient.subscribe` makes them. When `close` is called, or the client is, what came before
    can still be read, and then the iteration ends.

    Attributes
    ----------
    patterns : tuple of str
    missed : int
        Alerts that were not kept since nobody read the feed; the oldest went first.
    """

    def __init__(self, client: AlertClient, patterns: Iterable[str], most: int) -> None:
        self.patterns = tuple(patterns)
        self.missed = 0
        self._words = [checked_pattern(pattern) for pattern in self.patterns]
        self._client = client
        self._most = most
        self._kept: collections.deque[Alert] = collections.deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, alert: Alert, words: tuple[str, ...]) -> None:
        """Keep an alert, if it matches; called by the client."""
        if self._closed or not any(matches(pattern, words) for pattern in self._words):
            return
        if len(self._kept) >= self._most:
            self._kept.popleft()
            self.missed += 1
        self._kept.append(alert)
        self._news.set()

    def close(self) -> None:
        """End it."""
        if not self._closed:
            self._closed = True
            self._news.set()
            self._client.forget(self)

    def __aiter__(self) -> AlertFeed:
        return self

    async def __anext__(self) -> Alert:
        """Return the next alert, when there is one."""
        while not self._kept:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._kept.popleft()

    async def __aenter__(self) -> AlertFeed:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AlertClient:
    """Subscribes to alerts of a device, and subscribes again whenever it was gone.

    To be used in the loop of the client that it is given, which it neither starts nor stops, and
    by one only for each connection. While there is no connection, alerts are lost.

    Parameters
    ----------
    client : InspectingClientAsync
        Over which to ask.
    timeout : float
        How long an answer may take [s].

    Attributes
    ----------
    dropped : int
        Alerts that the device did not send since this side did not take what was sent.

    Raises
    ------
    TypeError
        For a client whose informs cannot be looked at.

    Examples
    --------
    ::

        async with InspectingClientAsync("localhost", 7147, timeout=5) as client:
            async with AlertClient(client) as alerts:
                async for alert in await alerts.subscribe("sensor_value.#"):
                    print(alert.timestamp, alert.routing_key, alert.values["value_raw"])
    """

    def __init__(self, client: Any, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        wire = getattr(client, "katcp_client", client)
        if not hasattr(wire, "hook_inform"):
            raise TypeError(f"{client!r} does not show its informs; an InspectingClientAsync does")
        self._client = client
        self._wire = wire
        self._asker = Asker(client)
        self._timeout = checked_timeout(timeout)
        self._feeds: dict[AlertFeed, None] = {}
        self._subscribed: set[str] = set()
        self._connection = 0  # number of the present one
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False
        self.dropped = 0
        wire.hook_inform("alert", _weakly(self._alert))
        wire.hook_inform("alerts-dropped", _weakly(self._missed))
        # What a device says first of all on each connection, in version 5 and before.
        wire.hook_inform("version-connect", _weakly(self._greeted))
        wire.hook_inform("version", _weakly(self._greeted))

    async def __aenter__(self) -> AlertClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def subscribe(self, *patterns: str, most: int = MOST) -> AlertFeed:
        """Subscribe to alerts, and return them as they come.

        Parameters
        ----------
        *patterns : str
            Words joined by dots; ``*`` stands for one word, ``#`` for any number of them.
        most : int
            Alerts to keep while nobody reads them.

        Raises
        ------
        EndpointError
            If the device refuses, there is no connection (101), or no answer in time (404).
        InvalidRequestError
            If the client is closed, or there is no pattern (401).
        """
        if self._closed or not patterns or most < 1:
            raise InvalidRequestError(
                "the client is closed" if self._closed else "a feed has a pattern and a length"
            )
        feed = AlertFeed(self, patterns, most)
        if not self._client.is_connected():
            raise BrokerConnectionError(f"{self._asker.name} is not connected")
        self._feeds[feed] = None
        try:
            await self._settle()
        except BaseException:
            feed.close()
            raise
        return feed

    def forget(self, feed: AlertFeed) -> None:
        """Subscribe no longer to what only a feed that is closed wanted; called by that."""
        self._feeds.pop(feed, None)
        self._keep()

    async def close(self) -> None:
        """End all feeds, and what is subscribed to."""
        if self._closed:
            return
        self._closed = True
        for feed in list(self._feeds):
            feed.close()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._client.is_connected():
            with contextlib.suppress(EndpointError):
                await self._settle()

    # -- what is subscribed to ----------------------------------------------------------

    def _greeted(self, msg: Message) -> None:
        if msg.name == "version-connect" and msg.arguments[:1] != [b"katcp-protocol"]:
            return
        self._connection += 1
        self._subscribed.clear()
        self._keep()

    def _keep(self) -> None:
        """Have the device asked, in the background, for what is wanted now."""
        if self._closed or (self._keeper is not None and not self._keeper.done()):
            return
        if self._wanted() != self._subscribed:
            self._keeper = asyncio.get_running_loop().create_task(self._until_settled())

    def _wanted(self) -> set[str]:
        return {pattern for feed in self._feeds for pattern in feed.patterns}

    async def _until_settled(self) -> None:
        while self._wanted() != self._subscribed:
            try:
                await self._client.until_connected()
            except KatcpClientError:
                return  # the client has stopped
            try:
                await self._settle()
            except (BrokerConnectionError, RequestTimeoutError):
                await asyncio.sleep(_PAUSE)
            except EndpointError as error:
                log.warning("%s refuses alerts: %s", self._asker.name, error)
                return

    async def _settle(self) -> None:
        """Ask the device for what is wanted and is not subscribed to, and the other way round."""
        async with self._changing:
            while True:
                missing = self._wanted() - self._subscribed
                rest = self._subscribed - self._wanted()
                if not missing and not rest:
                    return
                pattern = min(missing or rest)
                name = "alert-subscribe" if missing else "alert-unsubscribe"
                connection = self._connection
                await self._asker.ask(name, [_encoded(pattern)], self._timeout)
                if connection == self._connection:
                    (self._subscribed.add if missing else self._subscribed.discard)(pattern)

    # -- what comes ---------------------------------------------------------------------

    def _alert(self, msg: Message) -> None:
        if not self._feeds or len(msg.arguments) < 2:
            return
        stamp, key, *pairs = msg.arguments
        try:
            timestamp = float(stamp)
        except ValueError:
            return
        if self._wire.protocol_flags.major < SEC_TS_KATCP_MAJOR:
            timestamp /= SEC_TO_MS_FAC
        names = [name.decode("utf-8", "surrogateescape") for name in pairs[::2]]
        values = dict(zip(names, map(from_argument, pairs[1::2]), strict=False))
        routing_key = key.decode("utf-8", "surrogateescape")
        alert = Alert(timestamp, routing_key, values)
        words = tuple(routing_key.split("."))
        for feed in self._feeds:
            feed.put(alert, words)

    def _missed(self, msg: Message) -> None:
        if msg.arguments and msg.arguments[0].isdigit():
            self.dropped += int(msg.arguments[0])


def _encoded(pattern: str) -> bytes:
    return pattern.encode("utf-8", "surrogateescape")


def _weakly(method: Callable[[Message], None]) -> Callable[[Message], None]:
    """Return a callback that does not keep what it belongs to."""
    reference = weakref.WeakMethod(method)

    def call(msg: Message) -> None:
        target = reference()
        if target is not None:
            target(msg)

    return call
