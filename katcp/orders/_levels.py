"""The words and the numbers that orders are made of."""

from __future__ import annotations

import enum
import math

from katcp.orders._format import shown


class AdviseLevel(enum.IntEnum):
    """How hard to try."""

    #: Best effort: a write is tried once, a read three times.
    ADVISE = 0
    #: Try hard: a write is tried ten times, a read twenty times. Drivers are told of it, too.
    FORCE = 1


class Disposition(enum.IntEnum):
    """Whether a section may run together with its neighbours."""

    #: It may; it need not.
    JOINABLE = 0
    #: It starts when all before it have ended, and all after it start when it has ended.
    CANNOT_JOIN = 1


def check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be text, not {name!r}")
    if not name:
        raise ValueError(f"{what} must not be empty")


def check_number(what: str, number: object) -> None:
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        raise TypeError(f"{what} must be a number, not {number!r}")
    try:
        finite = math.isfinite(number)
    except OverflowError:  # of an integer that no float can be
        finite = False
    if not finite:
        raise ValueError(f"{what} must be finite, not {shown(number)}")


def check_seconds(what: str, number: float) -> float:
    check_number(what, number)
    if number < 0:
        raise ValueError(f"{what} must be 0 or more, not {number!r}")
    return number
