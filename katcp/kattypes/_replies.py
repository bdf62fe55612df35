"""From what a handler returned to the reply.

A handler returns a tuple (or list) that begins with ``"ok"``, ``"fail"`` or ``"invalid"``, as text
or bytes; or a ready `Message`; or a future or other awaitable of one of these.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes._base import KatcpType, as_types
from katcp.kattypes._packing import compile_packer
from katcp.protocol import Message, format_argument

_T = TypeVar("_T")

#: Text of a failure for which the handler gave none.
NO_REASON = b"No reason given."

_STATUSES = {"ok": Message.OK, "fail": Message.FAIL, "invalid": Message.INVALID}
_STATUS_WORDS = frozenset(_STATUSES.values())


def status_of(value: object) -> bytes | None:
    """Return the status that `value`, the first thing a handler returned, stands for; or None."""
    # Text and bytes are looked up apart: comparing one with the other is an error under -bb.
    if isinstance(value, str):
        return _STATUSES.get(value)
    if isinstance(value, bytes) and value in _STATUS_WORDS:
        return bytes(value)
    return None


def failure(error: FailReply) -> list[bytes]:
    """Return the arguments of the reply for `error`."""
    status = Message.INVALID if isinstance(error, InvalidReply) else Message.FAIL
    return [status, format_argument(str(error)) or NO_REASON]


def _failure_text(values: Sequence[Any]) -> bytes:
    if len(values) > 1:
        raise ValueError("Too many arguments to pack.")
    if not values or values[0] is None:
        return NO_REASON
    return format_argument(values[0])


def compile_reply(
    msgname: str, types: Iterable[KatcpType | type[KatcpType]], major: int
) -> Callable[[Any], Message]:
    """Return a function that makes the reply of what a handler returned.

    It raises as `make_reply` does.
    """
    pack = compile_packer(as_types(types), major)
    name = Message.reply(msgname).name  # checked once, so that each reply need not be
    find = _STATUSES.get
    make, reply_type, ok = Message.from_wire, Message.REPLY, Message.OK

    def reply(result: Any) -> Message:
        status = None
        if isinstance(result, (tuple, list)):
            if result:
                first = result[0]
                # Mostly plain text, for which this spares a call.
                status = find(first) if first.__class__ is str else status_of(first)
        elif isinstance(result, Message):
            return result
        elif isinstance(result, FailReply):
            return make(reply_type, name, failure(result), None)
        if status is None:
            raise ValueError("First returned value must be 'ok' or 'fail'.")
        if status == ok:
            arguments = pack(result[1:])
            arguments.insert(0, ok)
        else:
            arguments = [status, _failure_text(result[1:])]
        return make(reply_type, name, arguments, None)

    return reply


def make_reply(
    msgname: str,
    types: Iterable[KatcpType | type[KatcpType]],
    arguments: Sequence[Any] | Message | FailReply,
    major: int,
) -> Message:
    """Make the reply of what a handler returned.

    Parameters
    ----------
    msgname : str
        Name of the reply.
    types : sequence of KatcpType
        Types of the values behind ``"ok"``.
    arguments : sequence of object, or Message
        ``"ok"`` and the values; or ``"fail"`` or ``"invalid"`` and one text, or any object, that
        says why. Without it the text is ``No reason given.`` A ready message is returned as it is,
        and so is the reply for a `FailReply`.
    major : int
        Major version of the protocol.

    Raises
    ------
    ValueError
        If the first item is none of these, or the values do not fit the types.
    """
    return compile_reply(msgname, types, major)(arguments)


def async_make_reply(
    msgname: str,
    types: Iterable[KatcpType | type[KatcpType]],
    arguments_future: Any,
    major: int,
) -> Any:
    """Return a future of the reply for a future of what a handler returns.

    As `make_reply`. For an awaitable that is not a future the result is a coroutine.

    Raises
    ------
    TypeError
        If `arguments_future` cannot be awaited.
    """
    if not is_deferred(arguments_future):
        raise TypeError(f"{arguments_future!r} is not a future.")
    return map_deferred(arguments_future, compile_reply(msgname, types, major))


def is_deferred(value: object) -> bool:
    """Tell whether `value` is a future of any kind, or another awaitable."""
    return hasattr(value, "add_done_callback") or inspect.isawaitable(value)


def map_deferred(value: Any, convert: Callable[[Any], _T]) -> Any:
    """Return a future, or for other awaitables a coroutine, of what `convert` makes of the result.

    The future is of the same kind and lives on the same loop. Errors, of `convert` too, pass
    on; so does cancellation, either way.
    """
    if hasattr(value, "add_done_callback"):
        return _map_future(value, convert)
    return _map_awaitable(value, convert)


async def _map_awaitable(awaitable: Awaitable[Any], convert: Callable[[Any], _T]) -> _T:
    return convert(await awaitable)


def _map_future(future: Any, convert: Callable[[Any], Any]) -> Any:
    # This package knows no event loop; a future of one knows its own. Those without are of
    # `concurrent.futures` or alike, and made by their class.
    get_loop = getattr(future, "get_loop", None)
    mapped = type(future)() if get_loop is None else get_loop().create_future()

    def forward(done: Any) -> None:
        if mapped.done():
            return
        if done.cancelled():
            mapped.cancel()
            return
        error = done.exception()
        if error is not None:
            mapped.set_exception(error)
            return
        try:
            result = convert(done.result())
        except Exception as conversion_error:
            mapped.set_exception(conversion_error)
        else:
            mapped.set_result(result)

    def cancel(done: Any) -> None:
        if done.cancelled():
            future.cancel()

    future.add_done_callback(forward)
    mapped.add_done_callback(cancel)
    return mapped
