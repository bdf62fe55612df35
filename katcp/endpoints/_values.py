"""Values of endpoints: read from the wire, written to it, and shown by sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from katcp.kattypes import Bool, Float, Int, KatcpType, Timestamp
from katcp.protocol import format_argument
from katcp.sensors import TYPE_NUMBERS, Sensor

#: Types that the value of an endpoint can have.
VALUE_TYPES = ("string", "float", "integer", "boolean", "discrete", "timestamp")


class EndpointReading(NamedTuple):
    """What one reading of an endpoint gave.

    Attributes
    ----------
    raw : object
        As the endpoint has it; None: it has none yet.
    cal : object
        Calibrated; None if there is no calibration, or it gave nothing.
    timestamp : float
        When the value was taken [seconds since 1970, UTC].
    status : int
        A status constant of `katcp.Sensor`: unknown without a value, error if the calibration
        failed and that is to be left out, or a value is none of the type that the sensor has;
        nominal else.
    """

    raw: Any
    cal: Any
    timestamp: float
    status: int

    @property
    def value(self) -> Any:
        """The calibrated value if there is one, else the raw one."""
        return self.raw if self.cal is None else self.cal

    def payload(self) -> dict[str, Any]:
        """Return the values by the names that alerts have for them."""
        payload = {"value_raw": self.raw}
        if self.cal is not None:
            payload["value_cal"] = self.cal
        return payload


def to_argument(value: Any) -> bytes:
    """Return a value as an argument: as `katcp.Message` writes it, and empty for None."""
    if value is None:
        return b""
    if isinstance(value, str):
        # What came from the wire, or from a file, and was no UTF-8 goes out as it came.
        return value.encode("utf-8", "surrogateescape")
    return format_argument(value)


def is_number(value: object) -> bool:
    """Tell whether a value is an integer or a float, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def positional(value: Any) -> list[Any]:
    """Return the positional arguments of a command; a text is one, and not one for each letter."""
    return [value] if isinstance(value, (str, bytes)) else list(value)


def from_argument(argument: bytes) -> str | bytes:
    """Return an argument as text; as bytes if it is no UTF-8, so that nothing is lost."""
    try:
        return argument.decode("utf-8")
    except UnicodeDecodeError:
        return argument


class ValueType:
    """The type of an endpoint's value.

    Parameters
    ----------
    name : str
        One of `VALUE_TYPES`.
    params : sequence
        Lowest and highest value of an integer or float, which are enforced; words of a discrete
        one; nothing else has any.

    Raises
    ------
    ValueError
        For another name, or parameters that do not fit.
    """

    def __init__(self, name: str, params: Sequence[Any] = ()) -> None:
        if name not in VALUE_TYPES:
            raise ValueError(f"there is no type {name!r}; there are {', '.join(VALUE_TYPES)}")
        self.name = name
        self.params = list(params)
        self._kattype: KatcpType | None = None
        if name in ("integer", "float"):
            if len(self.params) not in (0, 2):
                raise ValueError("the range of a number has a lowest and a highest value")
            if self.params and not self._is_range():
                raise ValueError(f"{self.params} is no range: lowest and highest value, as numbers")
            limits = dict(zip(("min", "max"), self.params, strict=False))
            self._kattype = Int(**limits) if name == "integer" else Float(**limits)
        elif name == "discrete":
            if not self.params:
                raise ValueError("a discrete value needs the words that it can have")
            self.params = [str(word) for word in self.params]
        elif self.params:
            raise ValueError(f"a value of type {name} has no parameters")
        elif name == "boolean":
            self._kattype = Bool()
        elif name == "timestamp":
            self._kattype = Timestamp()

    def _is_range(self) -> bool:
        low, high = self.params
        return all(map(is_number, self.params)) and bool(low <= high)  # which NaN never is

    def parse(self, argument: bytes) -> Any:
        """Return the value of an argument of a request.

        A string is text, or bytes if it is no UTF-8.

        Raises
        ------
        ValueError
            If it is no value of this type.
        """
        if self._kattype is not None:
            return self._kattype.unpack(argument, 5)
        return self.check(from_argument(argument))

    def check(self, value: Any) -> Any:
        """Return a value that a program has given; a string may be anything.

        Raises
        ------
        ValueError
            If it is no value of this type, or out of its range.
        """
        if self.name == "string" or value is None:
            return value
        checked = self.shown(value)
        if self.params and self.name != "discrete":
            low, high = self.params
            if not low <= checked <= high:
                raise ValueError(f"{value!r} is not between {low} and {high}")
        return checked

    def shown(self, value: Any) -> Any:
        """Return a value as a sensor of this type has it.

        Raises
        ------
        ValueError
            If it is none of this type; a number outside the range will do.
        """
        if self.name == "string":
            if isinstance(value, (str, bytes)):
                return value
            return to_argument(value).decode("utf-8", "surrogateescape")
        try:
            return _SHOWN[self.name](self, value)
        except (ValueError, TypeError, OverflowError):
            what = f"no {self.name}" if not self._words else f"none of {', '.join(self._words)}"
            raise ValueError(f"{value!r} is {what}") from None

    @property
    def _words(self) -> list[str]:
        return self.params if self.name == "discrete" else []

    def _shown_float(self, value: Any) -> float:
        return float(_plain(value))

    def _shown_integer(self, value: Any) -> int:
        if isinstance(value, float):
            if not math.isfinite(value) or value != int(value):
                raise ValueError
            return int(value)
        return int(_plain(value))

    def _shown_boolean(self, value: Any) -> bool:
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        if isinstance(value, str):
            return _BOOLEANS[value.strip().lower()]
        if value in (0, 1):
            return bool(value)
        raise ValueError

    def _shown_discrete(self, value: Any) -> str:
        word = to_argument(value).decode("utf-8")
        if word not in self.params:
            raise ValueError
        return word

    def make_sensor(self, name: str, description: str, units: str) -> Sensor:
        """Return a sensor of this type, of status unknown."""
        units = "" if self.name == "timestamp" else units
        return Sensor(TYPE_NUMBERS[self.name], name, description or None, units, self.params)


def _plain(value: Any) -> Any:
    """Return what may be a number; Python would take ``1_0`` for one."""
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str) and "_" in value:
        raise ValueError
    return value


class _Booleans(dict[str, bool]):
    def __missing__(self, word: str) -> bool:
        raise ValueError


_BOOLEANS = _Booleans({"0": False, "1": True, "false": False, "true": True})

_SHOWN: dict[str, Any] = {
    "float": ValueType._shown_float,  # noqa: SLF001  # of this class
    "timestamp": ValueType._shown_float,  # noqa: SLF001
    "integer": ValueType._shown_integer,  # noqa: SLF001
    "boolean": ValueType._shown_boolean,  # noqa: SLF001
    "discrete": ValueType._shown_discrete,  # noqa: SLF001
}
