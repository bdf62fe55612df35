"""Integers, floats, booleans and the two states of a line-replaceable unit.

Python's ``int`` and ``float`` take more than KATCP numbers: ``1_000`` and blanks around. Reading
numbers is what a server does most, so the guards against these are the cheapest that do: digits
alone need no more than ``isdigit``, and a float needs two looks at the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from katcp.kattypes._base import KatcpType, describe_range, quoted, unparsable

_SIGNS = (b"-", b"+")
_UNDERSCORE = ord("_")
_strip = bytes.strip


def decode_integer(value: bytes) -> int:
    """Read ``[+-]?[0-9]+``.

    Raises
    ------
    ValueError
        For anything else, and for more digits than Python converts (4300 unless set otherwise).
    """
    try:
        if value.isdigit() or (value[:1] in _SIGNS and value[1:].isdigit()):
            return int(value)
    except ValueError:
        pass
    raise unparsable(value, "integer")


def encode_integer(value: int) -> bytes:
    """Write an integer in decimal; a float loses its fraction."""
    # In a tuple, since a value that is one itself would be taken apart.
    return b"%d" % (value,)


def decode_float(value: bytes) -> float:
    """Read a decimal number with optional fraction and exponent, ``nan`` or ``inf``.

    Raises
    ------
    ValueError
        For anything else.
    """
    try:
        number = float(value)
    except ValueError:
        raise unparsable(value, "float") from None
    # strip() gives back the same object if there was nothing to strip.
    if _UNDERSCORE in value or (_strip(value) is not value and _strip(value) != value):
        raise unparsable(value, "float")
    return number


def encode_float(value: Any) -> bytes:
    """Write the shortest text that reads back as the same float.

    Raises
    ------
    ValueError
        For text: a number that was never read is more likely a mistake.
    """
    if type(value) is not float:
        if isinstance(value, (str, bytes)):
            raise ValueError(f"Text is no float: {quoted(value)}")
        value = float(value)
    return repr(value).encode()


class Int(KatcpType):
    """Integers: ``-7``.

    Parameters
    ----------
    min, max : int, optional
        Least and greatest value allowed.
    **kwargs
        As for `KatcpType`.
    """

    name = "integer"

    def __init__(self, min: int | None = None, max: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._min = min
        self._max = max

    def check(self, value: int, major: int) -> None:
        """Raise `ValueError` if `value` is out of range."""
        if self._min is not None and value < self._min:
            raise ValueError(f"Integer {value} is lower than minimum {self._min}.")
        if self._max is not None and value > self._max:
            raise ValueError(f"Integer {value} is higher than maximum {self._max}.")

    def encode(self, value: int, major: int) -> bytes:
        """Write in decimal; raise `TypeError` for text."""
        return encode_integer(value)

    def decode(self, value: bytes, major: int) -> int:
        """Read decimal digits with an optional sign."""
        return decode_integer(value)

    def decoder(self, major: int) -> Callable[[bytes], int]:
        """Return a function that reads and checks an argument."""
        if type(self) is not Int:
            return super().decoder(major)
        if self._min is None and self._max is None:
            return decode_integer

        check = self.check

        def decode_checked(value: bytes) -> int:
            number = decode_integer(value)
            check(number, major)
            return number

        return decode_checked

    def encoder(self, major: int) -> Callable[[int], bytes]:
        """Return a function that checks and writes a value."""
        if type(self) is Int and self._min is None and self._max is None:
            return encode_integer
        return super().encoder(major)

    def describe(self) -> str:
        """Return the name and the range."""
        return describe_range(self.name, self._min, self._max)


def _short(value: float) -> str:
    """Return a number for an error text: ``6`` for 6.0; with all digits if it needs them."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class Float(KatcpType):
    """Floats: ``1.5``, ``1e-09``, ``nan``; written so that they read back the same.

    Parameters
    ----------
    min, max : float, optional
        Least and greatest value allowed.
    **kwargs
        As for `KatcpType`.
    """

    name = "float"

    def __init__(self, min: float | None = None, max: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._min = min
        self._max = max

    def check(self, value: float, major: int) -> None:
        """Raise `ValueError` if `value` is out of range; NaN is in no range."""
        if value != value and (self._min is not None or self._max is not None):
            raise ValueError("Float nan is not in the allowed range.")
        if self._min is not None and value < self._min:
            raise ValueError(f"Float {_short(value)} is lower than minimum {_short(self._min)}.")
        if self._max is not None and value > self._max:
            raise ValueError(f"Float {_short(value)} is higher than maximum {_short(self._max)}.")

    def encode(self, value: float, major: int) -> bytes:
        """Write the shortest text that reads back the same; raise `ValueError` for text."""
        return encode_float(value)

    def decode(self, value: bytes, major: int) -> float:
        """Read a decimal number."""
        return decode_float(value)

    def decoder(self, major: int) -> Callable[[bytes], float]:
        """Return a function that reads and checks an argument."""
        if type(self) is not Float:
            return super().decoder(major)
        if self._min is None and self._max is None:
            return decode_float

        check = self.check

        def decode_checked(value: bytes) -> float:
            number = decode_float(value)
            check(number, major)
            return number

        return decode_checked

    def encoder(self, major: int) -> Callable[[float], bytes]:
        """Return a function that checks and writes a value."""
        if type(self) is Float and self._min is None and self._max is None:
            return encode_float
        return super().encoder(major)

    def describe(self) -> str:
        """Return the name and the range."""
        return describe_range(self.name, self._min, self._max)


class Bool(KatcpType):
    """Booleans: ``1`` and ``0``, nothing else. Any object is written by its truth."""

    name = "boolean"

    _VALUES: ClassVar[dict[bytes, bool]] = {b"1": True, b"0": False}

    def encode(self, value: object, major: int) -> bytes:
        """Write ``1`` or ``0``."""
        return b"1" if value else b"0"

    def decode(self, value: bytes, major: int) -> bool:
        """Read ``1`` or ``0``."""
        boolean = self._VALUES.get(value)
        if boolean is None:
            raise ValueError(f"Boolean value must be b'0' or b'1' but is '{quoted(value)}'.")
        return boolean


class Lru(KatcpType):
    """State of a line-replaceable unit: ``nominal`` or ``error`` (deprecated in version 5)."""

    name = "lru"

    LRU_NOMINAL: ClassVar[int] = 0
    LRU_ERROR: ClassVar[int] = 1

    #: Value -> word.
    LRU_VALUES: ClassVar[dict[int, bytes]] = {0: b"nominal", 1: b"error"}
    #: Word -> value.
    LRU_CONSTANTS: ClassVar[dict[bytes, int]] = {b"nominal": 0, b"error": 1}

    def encode(self, value: int, major: int) -> bytes:
        """Write the word for `LRU_NOMINAL` or `LRU_ERROR`."""
        word = self.LRU_VALUES.get(value)
        if word is None:
            raise ValueError(
                f"Lru value must be LRU_NOMINAL (0) or LRU_ERROR (1) but is '{quoted(value)}'."
            )
        return word

    def decode(self, value: bytes, major: int) -> int:
        """Read ``nominal`` or ``error``."""
        constant = self.LRU_CONSTANTS.get(value)
        if constant is None:
            raise ValueError(f"Lru value must be b'nominal' or b'error' but is '{quoted(value)}'.")
        return constant
