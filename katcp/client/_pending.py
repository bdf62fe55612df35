"""Requests that wait for their reply: which reply is whose, and who has waited too long.

Operations wanted: add one, find the one that a reply or an inform belongs to, all without a
search; once in a while, those whose time is over.

Plan: with message ids a dict. Without, a queue for each name: only the first of a queue is on
the wire, since two answers of one name could not be told apart (KATCP guidelines 5.1, "client
matching"). Deadlines are looked through when the earliest one known has passed: as most requests
have the same time limit that is once per limit, not once per request, and a request that is
answered in time costs nothing.

A request without id that timed out may still be answered, and that answer must not go to the
next request of the name; so each one that timed out on the wire leaves one reply to be skipped.
A device may also have lost it, though, and then the reply that was skipped was the right one after
all: it is kept, and is the answer if no other has come by the deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from katcp.protocol import MAX_MID, Message

Mid = int | bytes

_INFINITY = float("inf")


def mid_key(mid: Mid | str) -> Mid:
    """Return a message id as the stream parser yields it: an int, or the digits of an odd one."""
    if isinstance(mid, int):
        return mid if 1 <= mid <= MAX_MID else b"%d" % mid
    digits = mid.encode() if isinstance(mid, str) else mid
    if digits[:1] in (b"0", b"") or len(digits) > 10:
        return bytes(digits)
    number = int(digits)
    return number if number <= MAX_MID else bytes(digits)


_MUST_ESCAPE = Message.ESCAPE_RE.search


def request_line(name: bytes, request: Message) -> bytes:
    """Return the line of a request, with its end."""
    arguments, mid = request.arguments, request.mid
    # One look at all arguments; most need no escaping, and words and numbers show that at once.
    text = b"".join(arguments)
    if b"" in arguments or (not text.isalnum() and _MUST_ESCAPE(text) is not None):
        return bytes(request) + b"\n"
    if mid is None:
        return b"?" + b" ".join([name, *arguments]) + b"\n"
    if not arguments:
        return b"?%b[%b]\n" % (name, mid)
    return b"?%b[%b] %b\n" % (name, mid, b" ".join(arguments))


#: Deadline of a request whose informs have taken too much memory.
OVERGROWN = -_INFINITY
#: What an argument takes besides its bytes, and an inform besides its arguments [bytes].
_ARGUMENT_SIZE = 41
_INFORM_SIZE = 100


def _measured(pending: Pending, informs: list[Any]) -> int:
    """Return how much memory the informs of a request take, roughly [bytes]."""
    count, size = getattr(pending, "counted", (0, 0))
    if count > len(informs):
        count = size = 0
    for inform in informs[count:]:
        if isinstance(inform, bytes):
            size += len(inform) + _ARGUMENT_SIZE
        else:
            arguments = inform if isinstance(inform, tuple) else inform.arguments
            size += sum(map(len, arguments)) + _ARGUMENT_SIZE * len(arguments) + _INFORM_SIZE
    pending.counted = len(informs), size
    return size


class Pending:
    """One request.

    Attributes
    ----------
    name : bytes
    message : Message
        The request; `line` is its wire form, for those that have to wait for their turn.
    owner : object
        Whose it is; opaque here.
    mid : int, bytes or None
        Its id, as `mid_key` gives it.
    started, deadline : float
        When it was made, and when it is given up (possibly never: infinity) [s].
    informs : list or None
        Informs of its reply so far.
    use_mid : bool or None
        What its owner said about ids, for those that cannot be sent yet.
    answer : Doubtful
        Set when it has expired although it may have been answered.
    counted : tuple
        How many of its informs have been measured, and what they take [bytes]; set when they are.
    """

    __slots__ = (
        "answer",
        "counted",
        "deadline",
        "informs",
        "line",
        "message",
        "mid",
        "name",
        "owner",
        "started",
        "use_mid",
    )

    # Made for every request: nothing is set here that few of them need.
    line: bytes
    use_mid: bool | None
    answer: Doubtful
    counted: tuple[int, int]

    def __init__(
        self,
        message: Message,
        owner: Any,
        started: float,
        timeout: float | None,
        mid: Mid | None = None,
    ) -> None:
        self.name = message.name.encode()
        self.message = message
        self.owner = owner
        self.started = started
        self.deadline = _INFINITY if timeout is None else started + timeout
        self.mid = mid
        self.informs: list[Any] | None = None


class Doubtful:
    """What came for a request, unless it was late and for one before it.

    Attributes
    ----------
    informs : list
        As they came.
    reply : object
        As it came; None before it has.
    """

    __slots__ = ("informs", "reply")

    def __init__(self) -> None:
        self.informs: list[Any] = []
        self.reply: Any = None


class PendingTable:
    """The requests of one connection that wait for their reply.

    Attributes
    ----------
    by_mid : dict
        Those with an id.
    to_skip : dict
        Name -> number of replies without id that may still come for requests given up.
    """

    def __init__(self, last_mid: int = 0) -> None:
        self.by_mid: dict[Mid, Pending] = {}
        self._by_name: dict[bytes, deque[Pending]] = {}
        self.to_skip: dict[bytes, int] = {}
        self._doubtful: dict[bytes, Doubtful] = {}
        self._held: list[Pending] = []
        self.last_mid = last_mid

    def __len__(self) -> int:
        queued = sum(len(queue) for queue in self._by_name.values())
        return len(self.by_mid) + queued + len(self._held)

    def on_the_wire(self) -> Iterator[Pending]:
        """Go through the requests that have been sent."""
        return chain(self.by_mid.values(), [queue[0] for queue in self._by_name.values()])

    def next_mid(self) -> int:
        """Return a new id: 1, 2, ... 2**31 - 1, 1, ... without those in use."""
        mid = self.last_mid
        while True:
            mid = mid + 1 if mid < MAX_MID else 1
            if mid not in self.by_mid:
                self.last_mid = mid
                return mid

    # -- coming in ----------------------------------------------------------------------

    def hold(self, pending: Pending) -> None:
        """Keep a request that cannot be sent yet, as the protocol is not known."""
        self._held.append(pending)

    def release(self) -> list[Pending]:
        """Return the requests held so far, to be sent in this order."""
        held, self._held = self._held, []
        return held

    def add(self, pending: Pending) -> bool:
        """Enter a request; tell whether it is to be sent now.

        Raises
        ------
        ValueError
            If its id is in use.
        """
        mid = pending.mid
        if mid is not None:
            if mid in self.by_mid:
                text = mid.decode() if isinstance(mid, bytes) else mid
                raise ValueError(f"Message id {text} is in use by a request that is pending.")
            self.by_mid[mid] = pending
            return True
        queue = self._by_name.setdefault(pending.name, deque())
        queue.append(pending)
        return len(queue) == 1

    # -- being answered -----------------------------------------------------------------

    def reply(self, name: bytes, mid: Mid | None) -> Pending | None:
        """Take out the request that a reply belongs to.

        None for a reply that belongs to no request, to one with another name, or to one that
        has timed out.
        """
        if mid is not None:
            pending = self.by_mid.get(mid)
            if pending is None or pending.name != name:
                return None
            del self.by_mid[mid]
            return pending
        if self._skip(name):
            return None
        queue = self._by_name.get(name)
        if queue:
            self._doubtful.pop(name, None)  # that was late indeed
            pending = queue.popleft()
            if not queue:
                del self._by_name[name]
            return pending
        return self._only_one(name)

    def _skip(self, name: bytes) -> bool:
        """Tell whether a reply is a late one, and count it off."""
        count = self.to_skip.get(name, 0)
        if not count:
            return False
        if count == 1:
            del self.to_skip[name]
        else:
            self.to_skip[name] = count - 1
        return True

    def doubt(self, name: bytes, event: Any, is_reply: bool) -> bool:
        """Keep what is to be skipped, if it may be for a request that is waiting.

        To be called before `reply` or `inform` are. Tells whether it was kept.
        """
        if name not in self.to_skip or not self._by_name.get(name):
            return False
        doubtful = self._doubtful.get(name)
        if doubtful is None or doubtful.reply is not None:  # the one before was late
            doubtful = self._doubtful[name] = Doubtful()
        if is_reply:
            doubtful.reply = event
        else:
            doubtful.informs.append(event)
        return True

    def _only_one(self, name: bytes) -> Pending | None:
        """Take out the one request with an id that a reply without id can only belong to."""
        candidates = [p for p in self.by_mid.values() if p.name == name]
        if len(candidates) != 1:
            return None
        pending = candidates[0]
        del self.by_mid[pending.mid]  # type: ignore[arg-type]  # those of by_mid have one
        return pending

    def inform(self, name: bytes, mid: Mid | None) -> Pending | None:
        """Return the request that an inform belongs to, if any."""
        if mid is not None:
            pending = self.by_mid.get(mid)
            return pending if pending is not None and pending.name == name else None
        queue = self._by_name.get(name)
        if not queue or name in self.to_skip:  # then it precedes the late reply
            return None
        return queue[0]

    def waits_for(self, name: bytes) -> bool:
        """Tell whether an inform of that name without id may belong to a request."""
        return name in self._by_name or name in self.to_skip

    def following(self, name: bytes) -> Pending | None:
        """Return the request of that name that is to be sent now that one is done."""
        queue = self._by_name.get(name)
        return queue[0] if queue else None

    # -- being given up -----------------------------------------------------------------

    def give_up_overgrown(self, limit: int) -> bool:
        """Make requests expire at once whose informs take more than `limit` bytes.

        Returns whether there is one. Each inform is measured once only, so this may be called
        as often as some megabytes have come.
        """
        found = False
        for pending in [*self.by_mid.values(), *[q[0] for q in self._by_name.values()]]:
            informs = pending.informs
            doubtful = None if pending.mid is not None else self._doubtful.get(pending.name)
            if informs is None and doubtful is not None:
                informs = doubtful.informs
            if informs is not None and _measured(pending, informs) > limit:
                pending.deadline = OVERGROWN
                if doubtful is not None:
                    del self._doubtful[pending.name]
                found = True
        return found

    def withdraw(self, pending: Pending) -> None:
        """Take out a request that could not be written."""
        if pending.mid is not None:
            self.by_mid.pop(pending.mid, None)
            return
        queue = self._by_name.get(pending.name)
        if queue and pending in queue:
            queue.remove(pending)
            if not queue:
                del self._by_name[pending.name]

    def earliest(self) -> float:
        """Return the first deadline; infinity if there is none."""
        deadlines = [p.deadline for p in self.by_mid.values()]
        deadlines += [p.deadline for p in self._held]
        for queue in self._by_name.values():
            deadlines += [p.deadline for p in queue]
        return min(deadlines, default=_INFINITY)

    def expire(self, now: float) -> tuple[list[Pending], list[Pending]]:
        """Take out the requests whose time is over.

        Returns
        -------
        expired : list
            In the order of their deadlines. One with an `answer` is to be given that.
        to_send : list
            Requests without id whose turn it is now.
        """
        expired = [p for p in self.by_mid.values() if p.deadline <= now]
        for pending in expired:
            del self.by_mid[pending.mid]  # type: ignore[arg-type]
        if any(p.deadline <= now for p in self._held):
            expired += [p for p in self._held if p.deadline <= now]
            self._held = [p for p in self._held if p.deadline > now]
        to_send: list[Pending] = []
        for name, queue in list(self._by_name.items()):
            over = [p for p in queue if p.deadline <= now]
            if not over:
                continue
            expired += over
            on_the_wire = queue[0]
            left = deque(p for p in queue if p.deadline > now)
            if left:
                self._by_name[name] = left
            else:
                del self._by_name[name]
            if on_the_wire.deadline <= now:
                doubtful = self._doubtful.pop(name, None)
                if doubtful is not None and doubtful.reply is not None:
                    on_the_wire.answer = doubtful
                else:
                    self.to_skip[name] = self.to_skip.get(name, 0) + 1
                if left:
                    to_send.append(left[0])
        expired.sort(key=lambda p: p.deadline)
        return expired, to_send

    def clear(self) -> list[Pending]:
        """Take out all requests; forget what was to be skipped. Ids go on counting."""
        everything = [*self.by_mid.values(), *self._held]
        for queue in self._by_name.values():
            everything += queue
        self.by_mid.clear()
        self._held.clear()
        self._by_name.clear()
        self.to_skip.clear()
        self._doubtful.clear()
        return everything
