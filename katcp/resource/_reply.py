"""The answer of a device: a reply and its informs."""

from __future__ import annotations

from typing import NamedTuple

from katcp.protocol import Message

_SIGNS = {Message.REQUEST: "?", Message.REPLY: "!", Message.INFORM: "#"}


class _KATCPReplyTuple(NamedTuple):
    """Reply and informs."""

    reply: Message
    informs: list[Message]


class KATCPReply(_KATCPReplyTuple):
    r"""The reply to a request, with the informs that came before it; true if it is ok.

    Attributes
    ----------
    reply : Message
    informs : list of Message

    Examples
    --------
    ``reply, informs = yield resource.req.help("watchdog")``, or::

        answer = yield resource.req.add(1, 2)
        if answer.succeeded:
            print(answer.reply.arguments[1])
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return self.succeeded

    def __str__(self) -> str:
        """Return the wire form, a line for each message."""
        return "\n".join(bytes(m).decode("utf-8", "backslashreplace") for m in self.messages)

    def __repr__(self) -> str:
        """Return the messages for people: without ids, nothing escaped, a line for each."""
        return "\n".join(_plain(message) for message in self.messages)

    @property
    def messages(self) -> list[Message]:
        """All messages, the reply first."""
        return [self.reply, *self.informs]

    @property
    def succeeded(self) -> bool:
        """Whether the reply is ``ok``."""
        return bool(self.reply.reply_ok())


def _plain(message: Message) -> str:
    words = (word.decode("utf-8", "backslashreplace") for word in message.arguments)
    return _SIGNS[message.mtype] + " ".join((message.name, *words))
