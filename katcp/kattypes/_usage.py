"""Parameters of a request in one line, for help texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from katcp.kattypes._annotations import encode
from katcp.kattypes._base import KatcpType
from katcp.kattypes._packing import Absent, Slot

#: Attribute of handlers decorated by `request` that has their slots.
SLOTS = "katcp_slots"


def usage_of(slots: Sequence[Slot]) -> str:
    """Return parameters as help texts have them: ``x: integer, [y: integer], z: float = 0``."""
    return ", ".join(map(_describe_slot, slots))


def decorated_usage(handler: Callable[..., Any]) -> str | None:
    """Return the parameters of a handler that `request` has decorated; None for any other."""
    slots = getattr(handler, SLOTS, None)
    return None if slots is None else usage_of(slots)


def _describe_slot(slot: Slot) -> str:
    text = f"{slot.name}: {slot.kattype.describe()}"
    if slot.many:
        return f"[{text}...]"
    default = slot.default
    if default is Absent.BY_TYPE:
        try:
            default = slot.kattype.get_default()
        except ValueError:
            return text
    if default is None:
        return f"[{text}]"
    return f"{text} = {_default_text(slot.kattype, default)}"


def _default_text(kattype: KatcpType, default: Any) -> str:
    """Return a default as one would type it, if its type takes it."""
    try:
        argument = kattype.pack(default)
    except (TypeError, ValueError):
        argument = encode(default)
    return argument.decode("utf-8", "backslashreplace")
