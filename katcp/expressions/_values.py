"""The values that expressions work on: numbers, texts, true and false, and nothing (None)."""

from __future__ import annotations

import operator
import re
from numbers import Real
from typing import Any, SupportsIndex, TypeVar

from katcp.expressions._errors import EvaluationError, shown

#: What an expression is given, and what it yields.
Value = int | float | str | bool | None

_V = TypeVar("_V")

#: The most bits that an integer may have.
MAX_BITS = 4096
#: The most bytes (UTF-8) that a text may have which an expression yields.
MAX_TEXT = 4096

_PLAIN = frozenset((int, float, bool, type(None)))
_NUMBERS = frozenset((int, float, bool))

# As Python reads numbers, without the underscores that it allows between digits: a part number
# such as 12_34 is a text. Longer numbers than this have more than `MAX_BITS`.
_INTEGER = re.compile(r"[+-]?[0-9]{1,1300}", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)",
    re.ASCII | re.IGNORECASE,
)
_LONGEST_NUMBER = 1500


def value_of(given: Any) -> Value:
    """Return the value that something from outside stands for.

    Texts that read as numbers are numbers: an integer, else a float, ``nan`` and ``inf`` included;
    other texts are themselves without the blanks around them. Bytes are texts in UTF-8. Numbers of
    other types, such as those of arrays, become plain ones.

    Raises
    ------
    EvaluationError
        If it is nothing of that kind, or an integer of more than 4096 bits.
    """
    kind = type(given)
    if kind is float:
        return given  # type: ignore[no-any-return]  # by the line above
    if kind in _PLAIN:
        return bounded(given)  # type: ignore[no-any-return]  # as above
    if isinstance(given, (bytes, bytearray)):
        given = given.decode("utf-8", "surrogateescape")
    if isinstance(given, str):
        return _of_text(str.__str__(given))  # without what a subclass makes of it
    return _of_object(given)


def _of_text(given: str) -> Value:
    text = given.strip()
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text) is not None:
        return bounded(int(text))
    if _FLOAT.fullmatch(text) is not None:
        return float(text)
    return text


def _of_object(given: Any) -> Value:
    # Of their own types they could bring operations of their own, which nobody has bounded.
    try:
        if isinstance(given, int) or not isinstance(given, Real):
            return bounded(operator.index(given))
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise EvaluationError(
            f"a value of the type {type(given).__name__} cannot be used"
        ) from None


def bounded(value: _V) -> _V:
    """Return the value if it is not too large; an `EvaluationError` otherwise."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise EvaluationError(f"an integer of more than {MAX_BITS} bits")
    return value


def result_of(value: Any) -> Value:
    """Return what an expression or a function yielded, if that is a value of bounded size."""
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]  # by the line above
    if kind in _PLAIN:
        return bounded(value)  # type: ignore[no-any-return]  # as above
    if isinstance(value, str):
        if 4 * len(value) > MAX_TEXT and len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT:
            raise EvaluationError(f"a text of more than {MAX_TEXT} bytes")
        return str.__str__(value)
    return _of_object(value)


def number(value: Any) -> int | float:
    """Return the value if it is a number, with true and false as 1 and 0.

    Raises
    ------
    EvaluationError
        If it is a text, or nothing.
    """
    if type(value) in _NUMBERS:
        return value  # type: ignore[no-any-return]  # by the line above
    what = "nothing (None)" if value is None else f"the text {shown(value)}"
    raise EvaluationError(f"{what} is no number")


def integer(value: Any) -> int:
    """Return the value if it is an integer; an `EvaluationError` otherwise."""
    if isinstance(value, SupportsIndex):
        return operator.index(value)
    raise EvaluationError(f"{shown(value)} is no integer")
