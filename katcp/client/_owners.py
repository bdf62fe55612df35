"""Who a request belongs to, and how they are told of its informs and its reply.

Three ways: a future of messages, a future of what the parser yields, and callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from katcp.protocol import Message, to_message

MessageCallback = Callable[..., object]


def as_message(event: Any) -> Message:
    """Return what the parser yielded as a `Message`; a message stays itself."""
    return event if isinstance(event, Message) else to_message(event)


class FutureOwner:
    """The reply resolves a future, with messages; failures do so too."""

    __slots__ = ("future",)

    #: Called with each inform; None to have them collected.
    inform_callback: Callable[[Any], None] | None = None

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future

    def finish(self, reply: Any, informs: list[Any]) -> None:
        """Take the reply."""
        if not self.future.done():
            self.future.set_result((as_message(reply), [as_message(i) for i in informs]))

    def fail(self, error: Exception, reply: Message, informs: list[Any]) -> None:
        """Take a failure: an exception, and the reply made up to say the same."""
        self.finish(reply, informs)


class WireOwner(FutureOwner):
    """The reply resolves a future, as the parser yields it; a failure is its exception."""

    __slots__ = ()

    def finish(self, reply: Any, informs: list[Any]) -> None:
        """Take the reply."""
        if not self.future.done():
            self.future.set_result((reply, informs))

    def fail(self, error: Exception, reply: Message, informs: list[Any]) -> None:
        """Take a failure."""
        if not self.future.done():
            self.future.set_exception(error)


class CallbackOwner(FutureOwner):
    """The informs and the reply are told to callbacks.

    Parameters
    ----------
    call_back : callable
        Calls a callback with its arguments and logs what it raises.
    reply, inform : callable or None
    user_data : tuple
        Further arguments of both.
    """

    __slots__ = ("_call_back", "_reply", "_user_data", "inform_callback")

    def __init__(
        self,
        call_back: MessageCallback,
        reply: MessageCallback | None,
        inform: MessageCallback | None,
        user_data: tuple[Any, ...],
    ) -> None:
        self._call_back = call_back
        self._reply = reply
        self._user_data = user_data

        def tell(event: Any) -> None:
            if inform is not None:
                call_back(inform, as_message(event), *user_data)

        self.inform_callback = tell

    def finish(self, reply: Any, informs: list[Any]) -> None:
        """Take the reply."""
        if self._reply is not None:
            self._call_back(self._reply, as_message(reply), *self._user_data)
