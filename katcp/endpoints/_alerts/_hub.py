"""Alerts: what endpoints broadcast, to those clients that asked for it by pattern.

An alert is sent as ``#alert timestamp routing-key name value name value ...``. A routing key is
words joined by dots, such as ``sensor_value.peaches``; in a pattern ``*`` stands for one word, and
``#`` for any number of words, also none.

A client that does not take what it is sent is spared: while half of the backlog that the server
allows it waits to be sent, it is sent no alerts. How many it has missed it is told, once it goes
on, by ``#alerts-dropped count``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from katcp.endpoints._alerts._audience import Audiences
from katcp.endpoints._alerts._topics import checked_pattern
from katcp.endpoints._codes import ServiceError
from katcp.endpoints._seldom import Seldom, kind_of
from katcp.endpoints._values import to_argument
from katcp.kattypes import Timestamp
from katcp.protocol import Message
from katcp.sensors import Sensor

log = logging.getLogger("katcp.endpoints")

#: Patterns that one client may have.
MAX_PATTERNS = 100

#: A client with more than this share of its backlog unsent is sent no alerts.
_BEHIND = 1 / 2


_TIMESTAMP = Timestamp()


class Alert(NamedTuple):
    """One alert.

    Attributes
    ----------
    timestamp : float
        When it was sent [seconds since 1970, UTC].
    routing_key : str
    values : dict
        By name, in order.
    """

    timestamp: float
    routing_key: str
    values: dict[str, Any]


class Subscriber(Protocol):
    """What `AlertHub` needs of a client's connection."""

    closed: bool
    max_backlog: int
    write_blocked: bool

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""

    def send(self, line: bytes) -> None:
        """Send a line."""

    async def until_writable(self) -> None:
        """Wait until the client has taken most of what waits, or has gone."""


# -- who gets them ----------------------------------------------------------------------


class _Audience:
    """The patterns of one client, or of one function."""

    def __init__(self) -> None:
        self.patterns: dict[str, tuple[str, ...]] = {}

    def deliver(self, alert: Alert, line: bytes) -> bool:
        """Hand it an alert; tell whether it took it."""
        raise NotImplementedError

    def end(self) -> None:
        """Let go of whatever waits."""


class _Listener(_Audience):
    def __init__(self, function: Callable[[Alert], object]) -> None:
        super().__init__()
        self._function = function
        self._seldom = Seldom()

    def deliver(self, alert: Alert, line: bytes) -> bool:
        try:
            self._function(alert)
        except Exception as error:
            count = self._seldom.left_out(kind_of(error))
            if count is not None:
                told = Seldom.told(count)
                log.exception("A listener to alerts failed on %s%s", alert.routing_key, told)
        return True


class _Client(_Audience):
    def __init__(self, hub: AlertHub, connection: Subscriber) -> None:
        super().__init__()
        self._hub = hub
        self._connection = connection
        self.dropped = 0  # all in all
        self._untold = 0
        self.fresh = 0  # bytes of this turn of the loop, which the connection does not count yet
        self._waits: asyncio.Task[None] | None = None

    def deliver(self, alert: Alert, line: bytes) -> bool:
        connection = self._connection
        if connection.closed:
            self._hub.client_gone(connection)
            return False
        most = connection.max_backlog * _BEHIND
        # What was sent in this turn may or may not be taken at once; before that, and if nothing
        # waits, there is room for one more.
        behind = self.fresh > 0 or connection.write_blocked
        if (
            self._waits is not None
            or len(line) > most
            or (behind and connection.unsent + self.fresh + len(line) > most)
        ):
            self.dropped += 1
            self._untold += 1
            self._hub.count_dropped()
            if self._waits is None:
                self._waits = asyncio.get_running_loop().create_task(self._until_it_goes_on())
            return False
        if not self.fresh:
            self._hub.count_fresh(self)
        self.fresh += len(line)
        connection.send(line)
        return True

    async def _until_it_goes_on(self) -> None:
        try:
            await asyncio.sleep(0)  # what was sent in this turn is counted from the next one on
            await self._connection.until_writable()
            if not self._connection.closed:
                count, self._untold = self._untold, 0
                self._connection.send(bytes(Message.inform("alerts-dropped", count)) + b"\n")
        finally:
            self._waits = None

    def end(self) -> None:
        if self._waits is not None:
            self._waits.cancel()


class AlertHub:
    """Hands alerts to those who asked for them; in the loop of the server.

    Whoever asked by several patterns that an alert matches gets it once. Nobody waits for anybody,
    and nobody learns whether there are others.

    Parameters
    ----------
    major : int
        Major version of the protocol: below 5 timestamps are in milliseconds.

    Attributes
    ----------
    sent : int
        Alerts that were sent, to however many.
    dropped : int
        How often one was not sent to a client since it did not take what it was sent.
    """

    def __init__(self, major: int = 5) -> None:
        self._major = major
        self._clients: dict[Any, _Client] = {}
        self._audiences: Audiences[_Audience] = Audiences()
        self.sent = 0
        self.dropped = 0
        self._fresh: list[_Client] = []
        self._shown = True
        self._sensors = (
            Sensor.integer("alerts.subscribers", "Clients that asked for alerts.", "", default=0),
            Sensor.integer(
                "alerts.dropped",
                "Alerts not sent to a client since it did not take what it was sent.",
                "",
                default=0,
            ),
        )
        for sensor in self._sensors:
            sensor.set_value(0)

    def sensors(self) -> tuple[Sensor, ...]:
        """Return the sensors that tell of it: ``alerts.subscribers`` and ``alerts.dropped``."""
        return self._sensors

    @property
    def subscribers(self) -> int:
        """Clients that have a pattern."""
        return len(self._clients)

    # -- asking for them ----------------------------------------------------------------

    def subscribe(self, connection: Subscriber, pattern: str) -> bool:
        """Send a client the alerts that match a pattern, until it goes; tell whether it is new.

        Raises
        ------
        InvalidValueError
            If it is no pattern.
        ServiceError
            If the client has too many.
        """
        words = checked_pattern(pattern)
        client = self._clients.get(connection)
        if client is None:
            for other in [one for one in self._clients if one.closed]:
                self.client_gone(other)  # where nobody tells of those that have gone
            client = _Client(self, connection)
        if pattern in client.patterns:
            return False
        if len(client.patterns) >= MAX_PATTERNS:
            raise ServiceError(f"a client may have {MAX_PATTERNS} patterns")
        client.patterns[pattern] = words
        self._clients[connection] = client
        self._changed(client, pattern)
        return True

    def unsubscribe(self, connection: Subscriber, pattern: str) -> bool:
        """End what `subscribe` began; tell whether the client had that pattern."""
        client = self._clients.get(connection)
        if client is None or client.patterns.pop(pattern, None) is None:
            return False
        if not client.patterns:
            del self._clients[connection]
            client.end()
        self._changed(client, pattern)
        return True

    def patterns(self, connection: Subscriber) -> list[str]:
        """Return the patterns of a client, in the order in which it asked."""
        client = self._clients.get(connection)
        return [] if client is None else list(client.patterns)

    def dropped_of(self, connection: Subscriber) -> int:
        """Return how many alerts were not sent to a client, since it asked for the first."""
        client = self._clients.get(connection)
        return 0 if client is None else client.dropped

    def client_gone(self, connection: Any) -> None:
        """Forget a client."""
        client = self._clients.pop(connection, None)
        if client is not None:
            client.end()
            client.patterns.clear()
            self._changed(client, "")

    def listen(self, pattern: str, function: Callable[[Alert], object]) -> Callable[[], None]:
        """Call a function with each alert that matches a pattern; what it raises is logged.

        Returns
        -------
        callable
            Ends it.

        Raises
        ------
        InvalidValueError
            If it is no pattern.
        """
        listener = _Listener(function)
        listener.patterns[pattern] = checked_pattern(pattern)
        self._changed(listener, pattern)

        def end() -> None:
            listener.patterns.clear()
            self._changed(listener, pattern)

        return end

    def clear(self) -> None:
        """Forget all clients, when the server stops; listeners stay."""
        for connection in list(self._clients):
            self.client_gone(connection)

    def _changed(self, member: _Audience, pattern: str) -> None:
        self._audiences.changed(member, pattern)
        subscribers = self._sensors[0]
        if subscribers.value() != len(self._clients):
            subscribers.set_value(len(self._clients))

    # -- sending ------------------------------------------------------------------------

    def publish(
        self,
        routing_key: str,
        values: Mapping[str, Any] | Iterable[tuple[str, Any]],
        timestamp: float | None = None,
    ) -> int:
        """Send an alert to all who asked for it; in the loop.

        Parameters
        ----------
        routing_key : str
        values : mapping, or iterable of pairs
            By name. A name may come several times; listeners see the last of them.
        timestamp : float, optional
            [seconds since 1970, UTC]; now if not given.

        Returns
        -------
        int
            How many took it.

        Raises
        ------
        InvalidValueError
            If it is no routing key.
        """
        audience = self._audiences.of(routing_key)
        self.sent += 1
        if not audience:
            return 0
        pairs = list(values.items() if isinstance(values, Mapping) else values)
        when = time.time() if timestamp is None else timestamp
        alert = Alert(when, routing_key, dict(pairs))
        line = self._line(when, routing_key, pairs)
        return sum([member.deliver(alert, line) for member in audience])

    async def prepare(self, routing_key: str) -> None:
        """Find out who gets alerts of a routing key that a client has made up, without haste.

        Raises
        ------
        InvalidValueError
            If it is none.
        """
        await self._audiences.find(routing_key)

    def _line(self, timestamp: float, routing_key: str, pairs: list[tuple[str, Any]]) -> bytes:
        arguments = [_TIMESTAMP.encode(timestamp, self._major), to_argument(routing_key)]
        for name, value in pairs:
            arguments += to_argument(name), to_argument(value)
        return bytes(Message.inform("alert", *arguments)) + b"\n"

    # -- called by those it sends to ----------------------------------------------------

    def count_fresh(self, client: _Client) -> None:
        """Take note that a client was sent something in this turn of the loop."""
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._turn_over)
        self._fresh.append(client)

    def _turn_over(self) -> None:
        for client in self._fresh:
            client.fresh = 0
        self._fresh.clear()

    def count_dropped(self) -> None:
        """Take note that a client missed an alert; the sensor shows it from the next turn on."""
        self.dropped += 1
        if self._shown:
            self._shown = False
            asyncio.get_running_loop().call_soon(self._show_dropped)

    def _show_dropped(self) -> None:
        self._shown = True
        self._sensors[1].set_value(self.dropped)
