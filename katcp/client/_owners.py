"""How those who made a request are told of its informs and its reply.

Four ways: a future of messages, a future of their arguments, callbacks, and a future of what the
reply says with a callback for informs. The first two have no object beside the future: one request
is one future, one entry in a table, and no more. (Plain futures, too: the interpreter has a quick
way for them that subclasses do not get.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from katcp.client._pending import Pending
from katcp.protocol import Message, to_message

from_wire = Message.from_wire
REPLY = Message.REPLY

MessageCallback = Callable[..., object]


def as_message(event: Any) -> Message:
    """Return what the parser yielded as a `Message`; a message stays itself."""
    return event if isinstance(event, Message) else to_message(event)


class WireFuture:
    """Marks a request whose future takes arguments only, and fails by exceptions.

    Parameters
    ----------
    future : Future
    raw : bool
        Whether informs may be left as they came; see `arguments_in`.
    """

    __slots__ = ("future", "raw")

    def __init__(self, future: Any, raw: bool = False) -> None:
        self.future = future
        self.raw = raw


class Callbacks:
    """The callbacks of a request.

    Parameters
    ----------
    call_back : callable
        Calls a callback with its arguments and logs what it raises.
    reply, inform : callable or None
    user_data : tuple
        Further arguments of both.
    other : callable
        Takes what came and there is no callback for.
    """

    __slots__ = ("_call_back", "_inform", "_other", "_reply", "_user_data")

    def __init__(
        self,
        call_back: MessageCallback,
        reply: MessageCallback | None,
        inform: MessageCallback | None,
        user_data: tuple[Any, ...],
        other: MessageCallback,
    ) -> None:
        self._call_back = call_back
        self._reply = reply
        self._inform = inform
        self._user_data = user_data
        self._other = other

    def reply(self, event: Any) -> None:
        """Pass the reply on."""
        if self._reply is not None:
            self._call_back(self._reply, as_message(event), *self._user_data)
        else:
            self._other(as_message(event))

    def inform(self, event: Any) -> None:
        """Pass an inform on."""
        if self._inform is not None:
            self._call_back(self._inform, as_message(event), *self._user_data)
        else:
            self._other(as_message(event))

    def failed(self, reply: Message) -> None:
        """Pass on a reply that was made up."""
        if self._reply is not None:
            self._call_back(self._reply, reply, *self._user_data)


class Streamed:
    """A future of the arguments of the reply, and a callback for those of informs.

    Parameters
    ----------
    future : Future
    inform : callable
        Called with the list of arguments of each inform; what it raises is logged.
    call_back : callable
        Calls a callback with its arguments and logs what it raises.
    """

    __slots__ = ("_call_back", "_inform", "future")

    def __init__(self, future: Any, inform: MessageCallback, call_back: MessageCallback) -> None:
        self.future = future
        self._inform = inform
        self._call_back = call_back

    def reply(self, event: Any) -> None:
        """Pass the reply on."""
        if not self.future.done():
            self.future.set_result(event.arguments)

    def inform(self, event: Any) -> None:
        """Pass an inform on."""
        if not self.future.done():
            self._call_back(self._inform, event.arguments)


def take_inform(pending: Pending, event: Any) -> None:
    """Keep an inform until the reply comes, or pass it on."""
    kind = type(pending.owner)
    if kind is Callbacks or kind is Streamed:
        pending.owner.inform(event)
        return
    if kind is WireFuture:
        event = tuple(event.arguments)
    if pending.informs is None:
        pending.informs = [event]
    else:
        pending.informs.append(event)


def finish(pending: Pending, reply: Any) -> None:
    """Tell the owner of a request its reply, which may be a message or as it came."""
    owner, informs = pending.owner, pending.informs
    kind = type(owner)
    if kind is WireFuture:
        if not owner.future.done():
            owner.future.set_result((tuple(reply.arguments), informs or []))
    elif kind is Callbacks or kind is Streamed:
        owner.reply(reply)
    elif not owner.done():
        if type(reply) is not Message:
            # Name and id are those of the request, if it has an id to be known by.
            request = pending.message
            if request.mid is None or pending.mid is None:
                reply = as_message(reply)
            else:
                reply = from_wire(REPLY, request.name, reply.arguments, request.mid)
        owner.set_result((reply, [as_message(i) for i in informs] if informs else []))


def fail(pending: Pending, error: Exception) -> None:
    """Tell the owner of a request that there will be no reply.

    For all but `WireFuture` and `Streamed` a reply is made up: ``!name[mid] fail TEXT``.
    """
    if type(pending.owner) is WireFuture or type(pending.owner) is Streamed:
        if not pending.owner.future.done():
            pending.owner.future.set_exception(error)
        return
    request = pending.message
    reply = Message.reply(request.name, Message.FAIL, str(error), mid=request.mid)
    if type(pending.owner) is Callbacks:
        pending.owner.failed(reply)
    else:
        finish(pending, reply)
