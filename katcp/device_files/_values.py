"""Values of sensors and arguments: from the text of a file, a command or a client, and judged."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from katcp.kattypes import Address, Bool, Discrete, Float, Int, KatcpType, Lru, Str, Timestamp
from katcp.sensors import TYPE_NUMBERS, Sensor

#: Names of types, as in ``#sensor-list``.
TYPE_NAMES = tuple(TYPE_NUMBERS)

#: What people write who know other formats.
OTHER_TYPES = {
    "int": "integer",
    "long": "integer",
    "number": "float",
    "double": "float",
    "real": "float",
    "bool": "boolean",
    "switch": "boolean",
    "str": "string",
    "text": "string",
    "enum": "discrete",
    "choice": "discrete",
    "time": "timestamp",
    "date": "timestamp",
    "datetime": "timestamp",
    "host": "address",
}

_SWITCHES = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}

_TYPES: dict[str, Callable[..., KatcpType]] = {
    "integer": Int,
    "float": Float,
    "boolean": Bool,
    "lru": Lru,
    "string": Str,
    "timestamp": Timestamp,
    "address": Address,
}


@dataclass(frozen=True)
class Kind:
    """A type of values.

    Attributes
    ----------
    name : str
        One of `TYPE_NAMES`.
    words : tuple of str
        Of a discrete one.
    """

    name: str
    words: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether its values can be compared and counted with."""
        return self.name in ("integer", "float")

    def kattype(self, limits: tuple[float, float] | None = None, **options: Any) -> KatcpType:
        """Return what reads and writes values as on the wire."""
        if self.name == "discrete":
            return Discrete(self.words, **options)
        if limits is not None:
            options["min"], options["max"] = limits
        return _TYPES[self.name](**options)

    def read(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises
        ------
        ValueError
            If it is none; the text of the error says why.
        """
        return _READERS[self.name](self, text)

    def write(self, value: Any) -> str:
        """Return the text of a value, as on the wire, unescaped."""
        return self.kattype().pack(value).decode("utf-8", "replace")


def _integer(kind: Kind, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
        if number.is_integer():
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{_cut(text)} is no integer")


def _float(kind: Kind, text: str) -> float:
    try:
        return float(text.replace(".nan", "nan").replace(".inf", "inf"))
    except ValueError:
        raise ValueError(f"{_cut(text)} is no number") from None


def _boolean(kind: Kind, text: str) -> bool:
    try:
        return _SWITCHES[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{_cut(text)} is neither true nor false") from None


def _discrete(kind: Kind, text: str) -> str:
    if text not in kind.words:
        raise ValueError(f"{_cut(text)} is not one of {', '.join(kind.words)}")
    return text


def _string(kind: Kind, text: str) -> str:
    return text


def _lru(kind: Kind, text: str) -> int:
    words = {"nominal": Sensor.LRU_NOMINAL, "error": Sensor.LRU_ERROR}
    if text not in words:
        raise ValueError(f"{_cut(text)} is neither nominal nor error")
    return words[text]


def _timestamp(kind: Kind, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        try:
            # Python 3.10 does not know the Z.
            moment = datetime.datetime.fromisoformat(text.strip().removesuffix("Z") or "x")
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.timezone.utc)
            seconds = moment.timestamp()
        except (ValueError, OverflowError):
            raise ValueError(
                f"{_cut(text)} is no time: neither seconds since 1970 nor like 2026-01-31T12:00:00Z"
            ) from None
    if not math.isfinite(seconds):
        raise ValueError(f"{_cut(text)} is no time")
    return seconds


def _address(kind: Kind, text: str) -> Any:
    try:
        return Address().unpack(text.encode("utf-8", "replace"))
    except ValueError:
        raise ValueError(f"{_cut(text)} is no address: HOST or HOST:PORT") from None


_READERS: dict[str, Callable[[Kind, str], Any]] = {
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "discrete": _discrete,
    "string": _string,
    "lru": _lru,
    "timestamp": _timestamp,
    "address": _address,
}


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def judge(
    value: Any,
    nominal: Sequence[float] | None,
    warn: Sequence[float] | None,
    statuses: Sequence[tuple[Any, int]] = (),
) -> int:
    """Return the status of a value.

    A value that has a status of its own has that. Else, a number outside the nominal range is
    ``warn``, outside that of a warning too ``error``, as the limits in ``#sensor-list`` promise.
    """
    for special, status in statuses:
        if value == special:
            return status
    if nominal is None or nominal[0] <= value <= nominal[1]:
        return Sensor.NOMINAL
    if warn is None or warn[0] <= value <= warn[1]:
        return Sensor.WARN
    return Sensor.ERROR
