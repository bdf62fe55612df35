"""Tables: what a raw value means, looked up."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from katcp.expressions import EvaluationError, Value, value_of

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# "0..5", "..0" and "5.."; what is no range is a text.
_RANGE = re.compile(rf"\s*({_NUMBER}(?=\s*\.\.))?\s*\.\.\s*({_NUMBER})?\s*", re.ASCII)

_DEFAULTS = ("default", "*")


class Table:
    """Finds the value for a raw value, by the first of these that holds.

    1. A key that is the raw value, of the same type.
    2. A key that is its text.
    3. A number equal to it: 1, 1.0 and "1" are; True is not.
    4. A range that it is in, both ends included: ``"0..5"``, ``"..-1"``, ``"100.."``; of several
       the first.
    5. A key that is its text but for upper and lower case, if there is but one.
    6. The key "default", or "*".

    Parameters
    ----------
    entries : mapping
        Numbers, texts, true and false, to such or None.

    Raises
    ------
    ValueError
        For a key or a value of another kind, for a range from more to less, for an empty table, and
        if there are both "default" and "*".
    """

    __slots__ = ("_default", "_exact", "_folded", "_numbers", "_ranges", "_texts")

    def __init__(self, entries: Mapping[Any, Any]) -> None:
        if not entries:
            raise ValueError(
                "A calibration has no entries (an expression of the raw value alone is '{}')."
            )
        self._exact: dict[tuple[type, Any], Any] = {}
        self._texts: dict[str, Any] = {}
        self._numbers: dict[int | float, Any] = {}
        self._ranges: list[tuple[float, float, Any]] = []
        self._folded: dict[str, list[Any]] = {}
        self._default: tuple[Any, ...] = ()
        for key, value in entries.items():
            self._add(key, value)

    def _add(self, key: Any, value: Any) -> None:
        if type(key) not in (str, int, float, bool):
            raise ValueError(
                f"A key of a calibration is a number, a text, true or false; not {key!r}."
            )
        if value is not None and type(value) not in (str, int, float, bool):
            raise ValueError(
                f"The calibration of {key!r} is a number, a text, true or false; not {value!r}."
            )
        self._exact[type(key), key] = value
        text = str(key)
        if type(key) is str:
            self._texts[key] = value
            if key in _DEFAULTS:
                if self._default:
                    raise ValueError("A calibration has both 'default' and '*'.")
                self._default = (value,)
                return
            if self._add_range(key, value):
                return
        number = _number(value_of(key))
        if number is not None:
            self._numbers.setdefault(number, value)
        else:
            self._folded.setdefault(text.strip().casefold(), []).append(value)

    def _add_range(self, key: str, value: Any) -> bool:
        match = _RANGE.fullmatch(key)
        if match is None or match.groups() == (None, None):
            return False
        low = -math.inf if match[1] is None else float(match[1])
        high = math.inf if match[2] is None else float(match[2])
        if low > high:
            raise ValueError(f"The range {key!r} of a calibration goes from more to less.")
        self._ranges.append((low, high, value))
        return True

    def __call__(self, raw: Any) -> Any:
        """Return the value for a raw value.

        Raises
        ------
        katcp.expressions.EvaluationError
            If there is none.
        """
        if isinstance(raw, (bytes, bytearray)):
            raw = bytes(raw).decode("utf-8", "surrogateescape")
        number = _number(value_of(raw))  # what is no scalar is refused there
        try:
            return self._exact[type(raw), raw]
        except KeyError:
            pass
        text = str(raw)
        if text in self._texts:
            return self._texts[text]
        if number is not None:
            if number in self._numbers:
                return self._numbers[number]
            for low, high, value in self._ranges:
                if low <= number <= high:
                    return value
        else:
            found = self._folded.get(text.strip().casefold(), ())
            if len(found) == 1:
                return found[0]
        if self._default:
            return self._default[0]
        raise EvaluationError("it is not in the table")


def _number(value: Value) -> int | float | None:
    """Return the value if it is a number, which neither true nor false nor NaN is here."""
    if isinstance(value, (int, float)) and type(value) is not bool and value == value:
        return value
    return None
