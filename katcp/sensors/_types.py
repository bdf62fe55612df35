"""The eight sensor types: how their values are checked, written and read.

`SensorType.format` is what the server's hot path uses; it writes unescaped bytes. Reading and
the rarer forms go through `katcp.kattypes`.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from katcp.errors import KatcpSyntaxError
from katcp.kattypes import (
    Address,
    Bool,
    Discrete,
    Float,
    Int,
    KatcpType,
    Lru,
    Str,
    Timestamp,
)
from katcp.protocol import format_argument

INTEGER, FLOAT, BOOLEAN, LRU, DISCRETE, STRING, TIMESTAMP, ADDRESS = range(8)

LRU_NOMINAL, LRU_ERROR = Lru.LRU_NOMINAL, Lru.LRU_ERROR


@dataclass(frozen=True)
class SensorType:
    """One sensor type of the protocol.

    Attributes
    ----------
    name : str
        As in ``#sensor-list``.
    kattype : class
        Reads and writes values; a discrete one is made with the allowed words.
    default : object
        Value before the first reading.
    exact : tuple of type
        Python types whose values need no further check.
    check : function
        Raises `ValueError` or `TypeError` for a value that cannot be sent.
    format, format_v4 : function
        Value -> bytes, unescaped; in major version 4 times are milliseconds.
    """

    name: str
    kattype: type[KatcpType]
    default: Any
    exact: tuple[type, ...]
    check: Callable[[Any], object]
    format: Callable[[Any], bytes]
    format_v4: Callable[[Any], bytes]
    #: Whether what `format` writes never has to be escaped.
    plain: bool = False
    #: Python type whose values the directive writes as `format` does, and the directive, for lines
    #: that are written in one step; None: there is none.
    native: type | None = None
    directive: bytes = b"%b"

    @functools.cached_property
    def shared(self) -> KatcpType:
        """What reads values, for all sensors of a type that is not discrete."""
        return self.kattype()


def _format_integer(value: Any) -> bytes:
    return b"%d" % value


def _check_integer(value: Any) -> object:
    if isinstance(value, numbers.Integral):
        return None
    raise TypeError(f"an integer sensor takes integers, not {value!r}")


def _format_float(value: Any) -> bytes:
    return repr(value if type(value) is float else float(value)).encode("ascii")


def _check_float(value: Any) -> object:
    if isinstance(value, numbers.Real):
        return None
    try:  # decimals, zero-dimensional arrays
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise TypeError(f"a float or timestamp sensor takes real numbers, not {value!r}")


def _format_boolean(value: Any) -> bytes:
    return b"1" if value else b"0"


def _check_boolean(value: Any) -> object:
    if isinstance(value, (str, bytes, list, tuple, dict)) or value is None:
        raise TypeError(f"a boolean sensor takes True or False, not {value!r}")
    return bool(value)


_LRU_WORDS = {LRU_NOMINAL: b"nominal", LRU_ERROR: b"error"}


def _format_lru(value: Any) -> bytes:
    return _LRU_WORDS[value]


def _check_lru(value: Any) -> object:
    if value in _LRU_WORDS:
        return None
    raise ValueError(f"an lru sensor takes LRU_NOMINAL or LRU_ERROR, not {value!r}")


def _format_timestamp(value: Any) -> bytes:
    return b"%.6f" % value


def _format_timestamp_v4(value: Any) -> bytes:
    return b"%.0f" % (value * 1000.0)


_pack_address = Address().pack


def _format_address(value: Any) -> bytes:
    return _pack_address(value)


def _check_address(value: Any) -> object:
    if isinstance(value, numbers.Number):
        raise TypeError(f"an address sensor takes a host and a port or None, not {value!r}")
    return _format_address(value)


def _accept(value: Any) -> object:
    return value


SENSOR_TYPES: dict[int, SensorType] = {
    INTEGER: SensorType(
        "integer",
        Int,
        0,
        (int,),
        _check_integer,
        _format_integer,
        _format_integer,
        plain=True,
        native=int,
        directive=b"%d",
    ),
    FLOAT: SensorType(
        "float",
        Float,
        0.0,
        (float, int),
        _check_float,
        _format_float,
        _format_float,
        plain=True,
        native=float,
        directive=b"%a",
    ),
    BOOLEAN: SensorType(
        "boolean",
        Bool,
        False,
        (bool, int),
        _check_boolean,
        _format_boolean,
        _format_boolean,
        plain=True,
        native=bool,
        directive=b"%d",
    ),
    LRU: SensorType("lru", Lru, LRU_NOMINAL, (), _check_lru, _format_lru, _format_lru, plain=True),
    DISCRETE: SensorType(
        "discrete", Discrete, "unknown", (), _accept, format_argument, format_argument
    ),
    STRING: SensorType("string", Str, "", (str, bytes), _accept, format_argument, format_argument),
    TIMESTAMP: SensorType(
        "timestamp",
        Timestamp,
        0.0,
        (float, int),
        _check_float,
        _format_timestamp,
        _format_timestamp_v4,
        plain=True,
        native=float,
        directive=b"%.6f",
    ),
    ADDRESS: SensorType(
        "address", Address, Address.NULL, (), _check_address, _format_address, _format_address
    ),
}

#: Name of a type -> its number.
TYPE_NUMBERS: dict[str, int] = {kind.name: number for number, kind in SENSOR_TYPES.items()}

#: Python types that may stand for a sensor type.
PYTHON_TYPES: dict[type, int] = {int: INTEGER, float: FLOAT, str: STRING, bool: BOOLEAN}


def type_number(sensor_type: Any) -> int:
    """Return the number of a sensor type given as number or Python type.

    Raises
    ------
    ValueError
        If there is no such type.
    """
    number = PYTHON_TYPES.get(sensor_type, sensor_type)
    if number not in SENSOR_TYPES:
        raise ValueError(f"Unknown sensor type {sensor_type!r}.")
    return int(number)


def parse_type(name: str | bytes) -> int:
    """Return the number of the type called `name` in ``#sensor-list``.

    Raises
    ------
    KatcpSyntaxError
        If there is no such type.
    """
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    try:
        return TYPE_NUMBERS[text]
    except KeyError:
        raise KatcpSyntaxError(f"Invalid sensor type string {text}") from None


def parse_params(number: int, params: Sequence[bytes], major: int) -> list[Any]:
    """Read the parameters that follow the type in ``#sensor-list``.

    Numeric limits become numbers, words of a discrete sensor text; other types have none and
    yield what was sent as text.
    """
    if number in (INTEGER, FLOAT):
        kattype = SENSOR_TYPES[number].kattype()
        return [kattype.unpack(param, major) for param in params]
    return [Str().unpack(param, major) for param in params]
