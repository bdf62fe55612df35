"""What happens, as asynchronous iterators: each has what happened since it was made."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from katcp.inspecting_client._model import merged
from katcp.inspecting_client._states import InspectingClientStateType

_log = logging.getLogger("katcp.inspect_client")
_T = TypeVar("_T")
_F = TypeVar("_F", bound="Feed[Any]")


class Feed(Generic[_T]):
    """An asynchronous iterator that others put things into.

    It ends when its source does, after what was put in before.

    Parameters
    ----------
    limit : int
        So many things are kept for a reader that does not come.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[_T] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False
        #: How many things were lost because nobody took them in time.
        self.dropped = 0

    def put(self, item: _T) -> None:
        """Add one; the oldest makes way if there are too many."""
        if len(self._items) >= self._limit:
            self._make_room()
        self._items.append(item)
        self._wake()

    def _make_room(self) -> None:
        if not self.dropped:
            _log.warning("An iterator is not read fast enough; the oldest of its items are lost")
        self.dropped += 1
        self._items.popleft()

    def end(self) -> None:
        """Let the reader come to an end."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def __aiter__(self) -> Feed[_T]:
        return self

    async def __anext__(self) -> _T:
        while not self._items:
            if self._ended:
                raise StopAsyncIteration
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting)
        return self._items.popleft()


class ChangeFeed(Feed[tuple[InspectingClientStateType, Any]]):
    """States, each with what has changed; none of that is ever lost."""

    def _make_room(self) -> None:
        """Put the two oldest into one: the later state, and the changes of both."""
        (_, first), (state, then) = self._items.popleft(), self._items.popleft()
        self._items.appendleft((state, merged(first, then)))
        self.dropped += 1


class ReadingFeed(Feed[tuple[Any, Any]]):
    """Sensors with their readings.

    Parameters
    ----------
    names : iterable of str
        Sensors wanted; all if there are none.
    """

    def __init__(self, names: tuple[str, ...], limit: int) -> None:
        super().__init__(limit)
        self._names = frozenset(names)

    def wants(self, name: str) -> bool:
        """Tell whether readings of this sensor are wanted."""
        return not self._names or name in self._names


class Feeds(Generic[_F]):
    """The iterators that are being read; one that nobody holds any more is forgotten.

    Attributes
    ----------
    read : dict
        Empty if there are none, which those who have much to tell may look at first.
    """

    def __init__(self) -> None:
        self.read: dict[int, weakref.ref[_F]] = {}
        self._ended = False

    def add(self, feed: _F) -> _F:
        """Add one; it ends at once if the source has ended."""
        if self._ended:
            feed.end()
        else:
            key = id(feed)
            self.read[key] = weakref.ref(feed, lambda _: self.read.pop(key, None))
        return feed

    def each(self, function: Callable[[_F], object]) -> None:
        """Call `function` with each."""
        for reference in list(self.read.values()):
            feed = reference()
            if feed is not None:
                function(feed)

    def begin(self) -> None:
        """Take iterators (again)."""
        self._ended = False

    def end(self) -> None:
        """Let all readers come to an end."""
        self._ended = True
        self.each(lambda feed: feed.end())
        self.read.clear()
