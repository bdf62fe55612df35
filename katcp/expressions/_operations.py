"""What the operators do: as in Python, on numbers alone, and never on more than is bounded.

Text takes no part in arithmetic: ``'a' * 1000000`` and ``'%1000000d' % 1`` are how small formulas
take much memory. What could grow is looked at before it is computed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from katcp.expressions._errors import EvaluationError, shown
from katcp.expressions._values import MAX_BITS, bounded, number

Operation = Callable[[Any, Any], Any]


def _add(left: Any, right: Any) -> Any:
    return bounded(number(left) + number(right))


def _subtract(left: Any, right: Any) -> Any:
    return bounded(number(left) - number(right))


def _multiply(left: Any, right: Any) -> Any:
    if type(number(left)) is not float and type(number(right)) is not float:
        # The product has this many bits, or one less.
        if left.bit_length() + right.bit_length() > MAX_BITS + 1:
            raise EvaluationError(f"an integer of more than {MAX_BITS} bits")
        return bounded(left * right)
    return left * right


def _divide(left: Any, right: Any) -> Any:
    return number(left) / number(right)


def _floor_divide(left: Any, right: Any) -> Any:
    return number(left) // number(right)


def _modulo(left: Any, right: Any) -> Any:
    return number(left) % number(right)


def power(base: Any, exponent: Any) -> Any:
    """Return base ** exponent.

    Raises
    ------
    EvaluationError
        If the result has more than 4096 bits, or is no real number.
    """
    if (
        type(number(base)) is not float
        and type(number(exponent)) is not float
        and exponent >= 0
        # It has more than (bits - 1) * exponent bits; -1, 0 and 1 may be raised to anything.
        and (abs(base).bit_length() - 1) * exponent > MAX_BITS
    ):
        raise EvaluationError(f"an integer of more than {MAX_BITS} bits")
    result = base**exponent
    if type(result) is complex:
        raise EvaluationError(f"({shown(base)}) ** {shown(exponent)} is no real number")
    return bounded(result)


def negative(value: Any) -> Any:
    """Return -value."""
    return -number(value)


def positive(value: Any) -> Any:
    """Return +value: a number, which for true and false is 1 and 0."""
    return +number(value)


def _ordered(compare: Operation) -> Operation:
    def comparison(left: Any, right: Any) -> Any:
        if type(left) is str and type(right) is str:
            return compare(left, right)
        return compare(number(left), number(right))

    return comparison


#: Operators of one level: from left to right, with what they do.
ADDITIVE: dict[str, Operation] = {"+": _add, "-": _subtract}
MULTIPLICATIVE: dict[str, Operation] = {
    "*": _multiply,
    "/": _divide,
    "//": _floor_divide,
    "%": _modulo,
}
#: Text and numbers are never equal to each other, and cannot be put in order.
COMPARISONS: dict[str, Operation] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}
