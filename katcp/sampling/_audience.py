"""Clients that are told the same, at once.

Operations wanted: hand one line to all clients that have ``event`` on a sensor; a client joins or
leaves the clients of a thousand sensors.

Plan: an audience is a fixed set of clients, and all sensors with the same clients have the same
one. Joining is to have another audience. What is sent to an audience is collected in one chunk,
which each connection counts as the last of its waiting lines (`katcp.transport`): a further
line costs one append for all of them (0.05 µs, and not 0.1 µs for each). The lines are written when
the chunk is, once for all and all at once: that takes a tenth less than one by one (1.35 µs an
update, setting the sensor included, in place of 1.5).
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Protocol

from katcp.sensors import Update, wire_updates
from katcp.transport import Chunk

PREFIX = b"#sensor-status"


class Subscriber(Protocol):
    """A client connection, as far as sampling is concerned.

    One whose class has a true `takes_chunks` also has ``share_later(chunk)``.
    """

    def send(self, line: bytes) -> None:
        """Send by the end of the turn."""

    def send_later(self, line: bytes) -> None:
        """Send, possibly after waiting a moment for company."""


class Audience:
    """A fixed set of clients.

    Parameters
    ----------
    members : dict
        The clients.
    key : int
        The same for the same clients, and hardly ever for others.
    shares : bool
        Whether all of them take chunks. Connections of somebody's tests, or with a way of their own
        to send, do not.
    write : callable
        Makes lines of updates.
    """

    __slots__ = ("__weakref__", "_write", "chunk", "key", "members", "shares")

    def __init__(
        self,
        members: dict[Subscriber, None],
        key: int,
        shares: bool,
        write: Callable[[list[Update]], bytes],
    ) -> None:
        self.members = members
        self.key = key
        self.shares = shares
        self._write = write
        #: What was collected last; it may still be open.
        self.chunk: Chunk | None = None

    def send_later(self, update: Update) -> None:
        """Send an update as a ``#sensor-status``."""
        chunk = self.chunk
        if chunk is not None:
            if chunk.open:
                chunk.items.append(update)
                return
            if len(chunk.items) == 1:
                # A chunk for each line would cost more than the lines. Maybe the next one.
                self.chunk = None
                self._send_each(update)
                return
        if not self.shares:
            self._send_each(update)
            return
        self.chunk = chunk = Chunk(update, self._write)
        for member in self.members:
            member.share_later(chunk)  # type: ignore[attr-defined]  # `shares` tells

    def _send_each(self, update: Update) -> None:
        line = self._write([update])
        for member in self.members:
            member.send_later(line)


def _lines_of(major: int, updates: list[Update]) -> bytes:
    return PREFIX + PREFIX.join(wire_updates(updates, major))


class _Changed(dict["Audience | None", "Audience | None"]):
    """Audience -> what becomes of it when a client joins or leaves; found out once for each.

    Where 1,000 sensors have as many audiences of 1,000 clients, one of whom leaves, each of these
    audiences has to be made anew: so that is little more than to copy a dict (5 µs).
    """

    def __init__(self, audiences: Audiences, subscriber: Subscriber, joins: bool) -> None:
        self._audiences = audiences
        self._subscriber = subscriber
        self._joins = joins

    def __missing__(self, audience: Audience | None) -> Audience | None:
        subscriber = self._subscriber
        if audience is None:
            members: dict[Subscriber, None] = {}
            key, shares = 0, True
        else:
            members = audience.members.copy()
            key, shares = audience.key, audience.shares
        if (subscriber in members) is self._joins:
            return audience
        if self._joins:
            members[subscriber] = None
            shares = shares and _takes_chunks(subscriber)
        else:
            members.pop(subscriber, None)
            shares = shares or all(map(_takes_chunks, members))
        # In a tuple, whose hash scatters those of objects, which differ in few bits.
        key ^= hash((subscriber,))
        self[audience] = found = self._audiences.of(members, key, shares)
        return found


def _takes_chunks(subscriber: Subscriber) -> bool:
    return getattr(type(subscriber), "takes_chunks", False) is True


class Audiences:
    """All audiences of a server.

    Parameters
    ----------
    major : int
        Major version of the protocol, for the unit of times.
    """

    def __init__(self, major: int = 5) -> None:
        self._write = functools.partial(_lines_of, major)
        self._by_key: weakref.WeakValueDictionary[int, Audience] = weakref.WeakValueDictionary()

    def of(self, members: dict[Subscriber, None], key: int, shares: bool) -> Audience | None:
        """Return the audience of these clients; None for nobody."""
        if not members:
            return None
        audience = self._by_key.get(key)
        if audience is None or audience.members != members:
            audience = self._by_key[key] = Audience(members, key, shares, self._write)
        return audience

    def larger_by(self, subscriber: Subscriber) -> dict[Audience | None, Audience | None]:
        """Return a mapping of audiences without a client to the same with it."""
        return _Changed(self, subscriber, joins=True)

    def smaller_by(self, subscriber: Subscriber) -> dict[Audience | None, Audience | None]:
        """Return a mapping of audiences with a client to the same without it; None: nobody."""
        return _Changed(self, subscriber, joins=False)
