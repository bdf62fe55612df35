"""Which methods of a class handle which messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from katcp.kattypes import convert_method_name, handler_is_available

Handler = Callable[..., Any]

#: Methods with a handler's prefix that are something else.
_NOT_HANDLERS = frozenset(["reply_inform"])


class DeviceMetaclass(type):
    """Collects the methods ``request_*``, ``inform_*`` and ``reply_*`` of a class.

    They land in the dicts `_request_handlers`, `_inform_handlers` and `_reply_handlers`, as plain
    functions by message name; those of base classes are collected again, so that a subclass may
    have another set.

    Raises
    ------
    AssertionError
        When a class is made with a handler that has no docstring: it is the text of ``?help``.
    """

    _request_handlers: dict[str, Handler]
    _inform_handlers: dict[str, Handler]
    _reply_handlers: dict[str, Handler]

    #: Prefix, attribute, and how the kind is called in errors.
    _KINDS: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("request_", "_request_handlers", "Request"),
        ("inform_", "_inform_handlers", "Inform"),
        ("reply_", "_reply_handlers", "Reply"),
    )

    def __init__(cls, name: str, bases: tuple[type, ...], dct: dict[str, Any]) -> None:
        super().__init__(name, bases, dct)
        for prefix, attribute, kind in cls._KINDS:
            handlers: dict[str, Handler] = {}
            for method_name in dir(cls):
                if not method_name.startswith(prefix) or method_name in _NOT_HANDLERS:
                    continue
                handler = getattr(cls, method_name)
                if not callable(handler):
                    continue
                message_name = convert_method_name(prefix, method_name)
                if not handler.__doc__:
                    raise AssertionError(f"{kind} {message_name!r} has no docstring.")
                if cls.check_protocol(handler):
                    handlers[message_name] = handler
            setattr(cls, attribute, handlers)

    def check_protocol(cls, handler: Handler) -> bool:
        """Tell whether `handler` exists in the protocol version that the class speaks."""
        return True


class DeviceServerMetaclass(DeviceMetaclass):
    """Leaves out handlers whose conditions the class's ``PROTOCOL_INFO`` does not meet."""

    def check_protocol(cls, handler: Handler) -> bool:
        """Tell whether the conditions of `handler` hold for ``cls.PROTOCOL_INFO``.

        The conditions are set by `katcp.kattypes.minimum_katcp_version` and
        `katcp.kattypes.has_katcp_protocol_flags`.
        """
        info = getattr(cls, "PROTOCOL_INFO", None)
        return info is None or handler_is_available(handler, info)
