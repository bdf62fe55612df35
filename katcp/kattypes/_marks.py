"""Marks on handlers, read by those who call them.

A mark is an attribute of the function. The decorators that unpack requests and make replies copy
the attributes of what they wrap, so a mark may stand anywhere in a stack of decorators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from katcp.protocol import DEFAULT_KATCP_MAJOR, ProtocolFlags

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def concurrent_reply(handler: _Handler) -> _Handler:
    """Mark a handler that returns a future: later messages of its client need not wait for it.

    Without the mark, the messages of one connection are handled one after another.
    """
    handler._concurrent_reply = True  # type: ignore[attr-defined]  # noqa: SLF001
    return handler


def request_timeout_hint(timeout_hint: float | None) -> Callable[[_Handler], _Handler]:
    """Mark a request handler with the time that clients should allow it.

    Parameters
    ----------
    timeout_hint : float or None
        Seconds, as ``?request-timeout-hint`` tells them to clients; None for no hint.

    Raises
    ------
    ValueError
        For a negative or undefined time.
    """
    hint = None if timeout_hint is None else float(timeout_hint)
    if hint is not None and (hint < 0 or math.isnan(hint)):
        raise ValueError(f"A timeout hint is a time of at least 0 s, not {hint}.")

    def mark(handler: _Handler) -> _Handler:
        handler.request_timeout_hint = hint  # type: ignore[attr-defined]
        return handler

    return mark


def minimum_katcp_version(major: int, minor: int = 0) -> Callable[[_Handler], _Handler]:
    """Mark a handler that only exists on servers of this protocol version or a later one."""
    version = (major, minor)

    def mark(handler: _Handler) -> _Handler:
        handler._minimum_katcp_version = version  # type: ignore[attr-defined]  # noqa: SLF001
        return handler

    return mark


def has_katcp_protocol_flags(
    protocol_flags: Iterable[object] | str | bytes,
) -> Callable[[_Handler], _Handler]:
    """Mark a handler that only exists on servers with all these flags.

    Parameters
    ----------
    protocol_flags : iterable of one-byte bytes
        Such as ``[ProtocolFlags.BULK_SET_SENSOR_SAMPLING]``; text will do.
    """
    flags = sorted(ProtocolFlags(DEFAULT_KATCP_MAJOR, 1, protocol_flags).flags)

    def mark(handler: _Handler) -> _Handler:
        handler._has_katcp_protocol_flags = flags  # type: ignore[attr-defined]  # noqa: SLF001
        return handler

    return mark


def handler_is_available(handler: Callable[..., Any], protocol_info: ProtocolFlags) -> bool:
    """Tell whether a handler exists on a server that speaks `protocol_info`."""
    version = getattr(handler, "_minimum_katcp_version", (0, 0))
    if (protocol_info.major, protocol_info.minor) < version:
        return False
    return all(map(protocol_info.supports, getattr(handler, "_has_katcp_protocol_flags", ())))
