"""Functions that expressions can call, by name."""

from __future__ import annotations

import inspect
import keyword
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from katcp.expressions._errors import EvaluationError, shown
from katcp.expressions._values import integer, number, result_of, value_of

# More digits than a float has, before and behind the point.
_MOST_DIGITS = 400


def times2(value: Any) -> float:
    """Return twice the value; an example of a function for calibrations."""
    return 2.0 * _float(value)


def times3(value: Any) -> float:
    """Return three times the value; an example of a function for calibrations."""
    return 3.0 * _float(value)


def _round(value: Any, digits: Any = None) -> Any:
    if digits is None:
        return round(number(value))
    if abs(integer(digits)) > _MOST_DIGITS:  # a power of ten would be computed
        raise EvaluationError(f"{shown(digits)} digits are too many")
    return round(number(value), digits)


def _int(value: Any) -> int:
    return int(number(value_of(value) if type(value) is str else value))


def _float(value: Any) -> float:
    return float(number(value_of(value) if type(value) is str else value))


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    def of_numbers(*values: Any) -> Any:
        return function(*[number(value) for value in values])

    return of_numbers


def _of_some(function: Callable[..., Any]) -> Callable[..., Any]:
    def of_some(*values: Any) -> Any:
        return function([number(value) for value in values])

    return of_some


class Function(NamedTuple):
    """A function, and how many arguments it takes; of `most` None, as many as are given."""

    call: Callable[..., Any]
    least: int
    most: int | None


_STANDARD: dict[str, Function] = {
    "abs": Function(_of_numbers(abs), 1, 1),
    "min": Function(_of_some(min), 1, None),
    "max": Function(_of_some(max), 1, None),
    "round": Function(_round, 1, 2),
    "int": Function(_int, 1, 1),
    "float": Function(_float, 1, 1),
    "bool": Function(bool, 1, 1),
    "sqrt": Function(_of_numbers(math.sqrt), 1, 1),
    "log": Function(_of_numbers(math.log), 1, 2),
    "log10": Function(_of_numbers(math.log10), 1, 1),
    "exp": Function(_of_numbers(math.exp), 1, 1),
    "sin": Function(_of_numbers(math.sin), 1, 1),
    "cos": Function(_of_numbers(math.cos), 1, 1),
    "tan": Function(_of_numbers(math.tan), 1, 1),
    "atan2": Function(_of_numbers(math.atan2), 2, 2),
    "floor": Function(_of_numbers(math.floor), 1, 1),
    "ceil": Function(_of_numbers(math.ceil), 1, 1),
    "times2": Function(times2, 1, 1),
    "times3": Function(times3, 1, 1),
}

#: Words that mean something in expressions.
RESERVED = frozenset(keyword.kwlist)


class Functions(Mapping[str, Callable[..., Any]]):
    """Names that expressions can call, and what they call.

    The standard ones are always there: ``abs min max round int float bool sqrt log log10 exp sin
    cos tan atan2 floor ceil``, of numbers, as Python has them, and ``times2`` and ``times3``.

    Parameters
    ----------
    added : iterable of callables, or mapping of name -> callable, optional
        More of them. They are called with plain values (numbers, texts, true, false, None) by
        position, and are to return such. What they do is not bounded by anything: that is up to
        who registers them.

    Raises
    ------
    ValueError
        For a name that is none, begins with an underscore, or is taken.
    TypeError
        For something that cannot be called.

    Examples
    --------
    >>> def fahrenheit(celsius):
    ...     return celsius * 1.8 + 32
    >>> Expression("fahrenheit({})", functions=[fahrenheit]).evaluate(100)
    212.0
    """

    __slots__ = ("_table",)

    def __init__(
        self, added: Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]] = ()
    ) -> None:
        self._table = dict(_STANDARD)
        named = added.items() if isinstance(added, Mapping) else [(None, call) for call in added]
        for name, call in named:
            if not callable(call):
                raise TypeError(f"{shown(call)} is no function.")
            name = getattr(call, "__name__", type(call).__name__) if name is None else name
            self._add(name, call)

    @classmethod
    def of(
        cls,
        functions: Functions
        | Iterable[Callable[..., Any]]
        | Mapping[str, Callable[..., Any]]
        | None,
    ) -> Functions:
        """Return the `Functions` that an argument stands for; the standard ones for None."""
        if functions is None:
            return BASE
        return functions if isinstance(functions, Functions) else cls(functions)

    def _add(self, name: str, call: Callable[..., Any]) -> None:
        if not (name.isidentifier() and name.isascii()) or name.startswith("_") or name in RESERVED:
            raise ValueError(f"{name!r} cannot be the name of a function in expressions.")
        known = self._table.get(name)
        if known is not None and known.call is not call:
            raise ValueError(f"There is a function {name!r} in expressions already.")
        if known is None:
            self._table[name] = Function(call, *_arity(call))

    def function(self, name: str) -> Function | None:
        """Return what is known of a function; None of one that is not there."""
        return self._table.get(name)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._table[name].call

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        added = sorted(self._table.keys() - _STANDARD.keys())
        return f"<Functions: the standard ones{''.join(f', {name}' for name in added)}>"


def _arity(call: Callable[..., Any]) -> tuple[int, int | None]:
    """Return how many arguments by position it takes at least and at most."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return 0, None  # some that are written in C do not tell
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    least = sum(parameter.default is parameter.empty for parameter in positional)
    any_number = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    return least, None if any_number else len(positional)


def called(name: str, call: Callable[..., Any], values: list[Any]) -> Any:
    """Return what a function makes of values.

    Raises
    ------
    EvaluationError
        Whatever the function raises; and if what it returns is no value.
    """
    try:
        return result_of(call(*values))
    except EvaluationError as error:
        raise EvaluationError(f"{name}: {error}") from None
    except OverflowError:
        raise EvaluationError(f"{name}: the result is too large") from None
    except ZeroDivisionError:
        raise EvaluationError(f"{name}: division by zero") from None
    except Exception as error:
        reason = str(error)[:200] or type(error).__name__
        raise EvaluationError(f"{name}: {reason}") from error


#: The standard functions alone.
BASE = Functions()
