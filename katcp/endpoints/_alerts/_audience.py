"""Who wants alerts of which routing key: found once, and kept right from then on.

To compare a routing key with thousands of patterns takes milliseconds, so who wants it is
remembered. Those that subscribe and unsubscribe meanwhile do not make that void: their patterns
alone are compared when the key comes again. Keys that clients make up are compared a part at a
time, one after the other, so that others are served in between.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from katcp.endpoints._alerts._topics import checked_key, matches

#: Routing keys for which it is remembered who wants them.
_REMEMBERED = 1000
#: Changes that are made up for; after more, all patterns are compared anew.
_CHANGES = 500
#: Patterns that are compared in one go.
_AT_ONCE = 50


class Audience(Protocol):
    """The patterns of one client, or of one function: by text, as words."""

    patterns: dict[str, tuple[str, ...]]


M = TypeVar("M", bound=Audience)


def wants(member: Audience, words: Sequence[str]) -> bool:
    """Tell whether one of the patterns of a member has a routing key, given as words."""
    return any(matches(pattern, tuple(words)) for pattern in member.patterns.values())


class _Found(Generic[M]):
    """Who wants one routing key, after so many changes."""

    __slots__ = ("changes", "members")

    def __init__(self, members: Iterable[M], changes: int) -> None:
        self.members = dict.fromkeys(members)
        self.changes = changes


class Audiences(Generic[M]):
    """Members, and who of them wants which routing key."""

    def __init__(self) -> None:
        self._members: dict[M, None] = {}
        self._found: collections.OrderedDict[str, _Found[M]] = collections.OrderedDict()
        self._changes: collections.deque[tuple[weakref.ref[M], str]] = collections.deque(
            maxlen=_CHANGES
        )
        self._count = 0
        self._searching = asyncio.Lock()

    def changed(self, member: M, pattern: str) -> None:
        """Take note that a member has, or has no longer, a pattern; without any it is none."""
        if not member.patterns:
            self._members.pop(member, None)
            for found in self._found.values():
                found.members.pop(member, None)
            return
        self._members[member] = None
        self._count += 1
        self._changes.append((weakref.ref(member), pattern))

    def of(self, routing_key: str) -> Iterable[M]:
        """Return who wants a routing key.

        Raises
        ------
        InvalidValueError
            If it is none.
        """
        found = self._found.get(routing_key)
        if found is None or self._count - found.changes > len(self._changes):
            words = checked_key(routing_key).split(".")
            members = [member for member in self._members if wants(member, words)]
            found = self._remember(routing_key, members, self._count)
        else:
            self._found.move_to_end(routing_key)
            if found.changes != self._count:
                self._make_up(found, tuple(routing_key.split(".")))
        return list(found.members)

    def _make_up(self, found: _Found[M], words: tuple[str, ...]) -> None:
        """Compare what has changed since."""
        first = len(self._changes) - (self._count - found.changes)
        for ref, pattern in itertools.islice(self._changes, first, None):
            # What counts is how it is now, so that the order is no matter.
            member = ref()
            if member is None:
                continue
            new = member.patterns.get(pattern)
            if new is not None:
                if member not in found.members and matches(new, words):
                    found.members[member] = None
            elif member in found.members and not wants(member, words):
                del found.members[member]
        found.changes = self._count

    async def find(self, routing_key: str) -> None:
        """Find out who wants a routing key, so that `of` knows; others have their turns meanwhile.

        Raises
        ------
        InvalidValueError
            If it is none.
        """
        words = checked_key(routing_key).split(".")
        if routing_key in self._found:
            return
        async with self._searching:
            changes = self._count
            members = []
            compared = 0
            for member in list(self._members):
                compared += len(member.patterns)
                if compared > _AT_ONCE:
                    compared = 0
                    await asyncio.sleep(0)
                if wants(member, words):
                    members.append(member)
            here = [member for member in members if member in self._members]
            self._remember(routing_key, here, changes)

    def _remember(self, routing_key: str, members: Iterable[M], changes: int) -> _Found[M]:
        found = self._found[routing_key] = _Found(members, changes)
        if len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        return found
