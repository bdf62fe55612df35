"""Decorators that stand between messages and the Python values of handlers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from katcp.kattypes._base import KatcpType, as_types
from katcp.kattypes._names import convert_method_name
from katcp.kattypes._packing import compile_unpacker, make_slots
from katcp.kattypes._replies import compile_reply, is_deferred, map_deferred
from katcp.kattypes._usage import SLOTS
from katcp.protocol import DEFAULT_KATCP_MAJOR, Message

Handler = Callable[..., Any]
Decorator = Callable[[Handler], Handler]

#: Attribute of handlers that unpack messages by themselves.
UNPACKS_MESSAGE = "_request_decorated"


def _parameter_names(handler: Handler, skip: int, count: int) -> list[str]:
    """Return the names of the parameters that get values, up to and including ``*args``.

    `skip` parameters come before, counting ``self``; bound methods and functions without it have
    one fewer. Names serve error texts only, so a handler that tells nothing gets none.
    """
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return []
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    variable = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
    without_self = inspect.ismethod(handler) or (
        not variable and len(positional) == skip + count - 1
    )
    return positional[skip - 1 if without_self else skip :] + variable


def _unpacking(
    types: Sequence[KatcpType | type[KatcpType]], has_req: bool, include_msg: bool, major: int
) -> Decorator:
    kattypes = as_types(types)

    def decorate(handler: Handler) -> Handler:
        skip = 1 + has_req + include_msg
        names = _parameter_names(handler, skip, len(kattypes))
        slots = make_slots(kattypes, names)
        unpack = compile_unpacker(slots, major)
        wrapper: Handler

        # The message is the last argument; what comes before it (the owner of the method, the
        # request object) is passed on as it is.
        if inspect.iscoroutinefunction(handler):

            async def unpack_async(*args: Any) -> Any:
                values = unpack(args[-1].arguments)
                return await handler(*(args if include_msg else args[:-1]), *values)

            wrapper = unpack_async
        elif include_msg:

            def unpack_beside(*args: Any) -> Any:
                return handler(*args, *unpack(args[-1].arguments))

            wrapper = unpack_beside
        else:

            def unpack_instead(*args: Any) -> Any:
                return handler(*args[:-1], *unpack(args[-1].arguments))

            wrapper = unpack_instead

        functools.update_wrapper(wrapper, handler)
        setattr(wrapper, UNPACKS_MESSAGE, True)
        setattr(wrapper, SLOTS, slots)
        return wrapper

    return decorate


def request(
    *types: KatcpType | type[KatcpType],
    include_msg: bool = False,
    has_req: bool = True,
    major: int = DEFAULT_KATCP_MAJOR,
) -> Decorator:
    """Decorate a request handler to be called with values instead of the message.

    The handler is called with ``(self, req, *values)``. It may be a plain function, a coroutine
    function or a ``gen.coroutine``, and `return_reply` may stand above or below.

    Parameters
    ----------
    *types : KatcpType
        Types of the arguments. Bad arguments are answered with ``fail`` and a text that names
        the parameter as the handler does.
    include_msg : bool, optional
        Pass the message too: ``(self, req, msg, *values)``.
    has_req : bool, optional
        Whether the handler takes ``req``; False makes this `inform`.
    major : int, optional
        Major version of the protocol.

    Raises
    ------
    TypeError
        If one of the types is none.

    Examples
    --------
    >>> class Device:
    ...     @request(Int(min=0), Str(default="m"))
    ...     @return_reply(Float(), Str())
    ...     def request_scale(self, req, n, unit):
    ...         '''Scale N units.'''
    ...         if n > 100:
    ...             return ("fail", "too large")
    ...         return ("ok", n / 3, unit)

    ``?scale 7`` is then answered with ``!scale ok 2.3333333333333335 m``.
    """
    return _unpacking(types, has_req, include_msg, major)


def inform(
    *types: KatcpType | type[KatcpType],
    include_msg: bool = False,
    major: int = DEFAULT_KATCP_MAJOR,
) -> Decorator:
    """Decorate a handler without ``req``: ``inform_...`` and ``reply_...`` of clients.

    The handler is called with ``(self, *values)``, or ``(self, msg, *values)`` with
    `include_msg`. Handlers of informs on *servers* get ``(self, connection, msg)``: use `request`
    for them.
    """
    return _unpacking(types, False, include_msg, major)


def unpack_message(
    *types: KatcpType | type[KatcpType],
    include_msg: bool = False,
    major: int = DEFAULT_KATCP_MAJOR,
) -> Decorator:
    """Decorate a callback that takes a message to take values: the same as `inform`."""
    return _unpacking(types, False, include_msg, major)


def _converting(handler: Handler, convert: Callable[[Any], Any]) -> Handler:
    """Return `handler` with `convert` applied to its result, now or when there is one."""
    wrapper: Handler
    if inspect.iscoroutinefunction(handler):

        async def convert_async(*args: Any, **kwargs: Any) -> Any:
            return convert(await handler(*args, **kwargs))

        wrapper = convert_async
    else:

        def convert_now_or_later(*args: Any, **kwargs: Any) -> Any:
            result = handler(*args, **kwargs)
            if isinstance(result, (tuple, list, Message)) or not is_deferred(result):
                return convert(result)
            return map_deferred(result, convert)

        wrapper = convert_now_or_later
    return functools.update_wrapper(wrapper, handler)


def return_reply(
    *types: KatcpType | type[KatcpType], major: int = DEFAULT_KATCP_MAJOR
) -> Decorator:
    """Decorate a request handler to return values instead of the reply.

    The handler returns ``("ok", *values)``, or ``("fail", text)`` or ``("invalid", text)``, or a
    ready `Message`; or a future of one of these. The status may be text or bytes.

    Parameters
    ----------
    *types : KatcpType
        Types of the values behind ``"ok"``.
    major : int, optional
        Major version of the protocol.

    Raises
    ------
    ValueError
        When decorating, if the function is not called ``request_...``, since the name of the reply
        is made of it; when called, if what it returns is not as above.
    """
    kattypes = as_types(types)

    def decorate(handler: Handler) -> Handler:
        name = getattr(handler, "__name__", "")
        if not name.startswith("request_"):
            raise ValueError(
                f"Only functions called request_... can return replies, not {name or handler!r}."
            )
        msgname = convert_method_name("request_", name)
        return _converting(handler, compile_reply(msgname, kattypes, major))

    return decorate


def send_reply(*types: KatcpType | type[KatcpType], major: int = DEFAULT_KATCP_MAJOR) -> Decorator:
    """Decorate a callback that answers a request later.

    The callback returns ``(req, "ok", *values)`` or ``(req, "fail", text)``, or
    ``(req, message)``; or a future of one of these. The reply is sent by
    ``req.reply_with_message``, under the name of the request.

    Parameters
    ----------
    *types : KatcpType
        Types of the values behind ``"ok"``.
    major : int, optional
        Major version of the protocol.
    """
    kattypes = as_types(types)

    def send(result: Any) -> None:
        req, *rest = result
        ready = rest[0] if len(rest) == 1 and isinstance(rest[0], Message) else rest
        req.reply_with_message(compile_reply(req.msg.name, kattypes, major)(ready))

    def decorate(handler: Handler) -> Handler:
        return _converting(handler, send)

    return decorate
