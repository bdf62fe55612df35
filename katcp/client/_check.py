"""One request that has to succeed."""

from __future__ import annotations

from typing import Any

from katcp.client._blocking import BlockingAsking
from katcp.protocol import Message


def request_check(
    client: BlockingAsking, exception: type[BaseException], *msg_parms: Any, **kwargs: Any
) -> tuple[Message, list[Message]]:
    """Make a request, wait for the reply, and raise unless that is ``ok``.

    For threads other than that of the client's loop.

    Parameters
    ----------
    client : AsyncClient
    exception : type
        What to raise; called with a text that has the reply, the device and the request in it.
    *msg_parms
        Name and arguments of the request, as for `Message.request`.
    timeout : float, optional
        Time limit [s]; by default that of the client.
    mid : int or bytes, optional
        Id of the request; by default the client gives one.

    Returns
    -------
    tuple
        ``(reply, [informs])``

    Raises
    ------
    TypeError
        For another keyword.
    """
    timeout, mid = kwargs.pop("timeout", None), kwargs.pop("mid", None)
    if kwargs:
        raise TypeError(f"request_check() has no keyword {sorted(kwargs)[0]!r}")
    request = Message.request(*msg_parms, mid=mid)
    reply, informs = client.blocking_request(request, timeout=timeout)
    if not reply.reply_ok():
        raise exception(
            f'Unexpected failure reply "{_text(reply)}"\n'
            f" with device at {client.bind_address_string}, request \n"
            f'"{_text(request)}"'
        )
    return reply, informs


def _text(message: Message) -> str:
    return bytes(message).decode("utf-8", "backslashreplace")
