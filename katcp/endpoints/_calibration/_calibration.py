"""Calibrations: from what hardware says to what it means.

A calibration is an expression, ``({} - 32) / 1.8``; a table, ``{0: "closed", 1: "open"}``; or, in
programs, a function. An expression is parsed when it is configured, and bound to values rather than
pasted together with them, so that no value can change it (`katcp.expressions.Expression`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from katcp.endpoints._calibration._tables import Table
from katcp.endpoints._codes import InvalidValueError
from katcp.expressions import EvaluationError, Expression, Functions

#: What calibrations can be made of.
Rule = str | Expression | Mapping[Any, Any] | Callable[[Any], Any]

_SHOWN = 80


class Calibration:
    """Makes calibrated values of raw ones.

    Parameters
    ----------
    rule : str, Expression, mapping or callable
        An expression of one value (``{}``, ``{0}``, ``{value}``, ``{raw}``); or a table, from raw
        value to calibrated value (`Table` says what matches); or a function of the raw value, as it
        is, which is for programs and never comes from a file or from the wire.
    units : str, optional
        Of the calibrated values.
    functions : Functions, iterable of callables or mapping, optional
        More functions for the expression.
    errors : {"fail", "omit"}, optional
        What becomes of a raw value that cannot be calibrated. With ``"fail"`` (default) `apply`
        raises; with ``"omit"`` it returns None, so that there is the raw value alone. `calibrate`
        tells in either case.

    Raises
    ------
    katcp.expressions.ExpressionError
        If the text is no expression, or exceeds its bounds; a `ValueError`.
    ValueError
        For a table with a key or a value that is no scalar, or with nothing in it.
    TypeError
        For a rule that is none of these.

    Examples
    --------
    >>> Calibration("times2({})", units="K").apply("1.5")
    3.0
    >>> Calibration({0: "closed", 1: "open"}).apply("1")
    'open'
    """

    __slots__ = ("_apply", "errors", "rule", "units")

    rule: Rule
    units: str
    errors: Literal["fail", "omit"]

    def __init__(
        self,
        rule: Rule,
        *,
        units: str = "",
        functions: Functions
        | Iterable[Callable[..., Any]]
        | Mapping[str, Callable[..., Any]]
        | None = None,
        errors: Literal["fail", "omit"] = "fail",
    ) -> None:
        if errors not in ("fail", "omit"):
            raise ValueError(f"errors is 'fail' or 'omit', not {errors!r}.")
        if isinstance(rule, str):
            rule = Expression(rule, functions=functions)
        self._apply: Callable[[Any], Any]
        if isinstance(rule, Expression):
            self._apply = rule.evaluate
            self.rule = rule.text
        elif isinstance(rule, Mapping):
            self._apply = Table(rule)
            self.rule = dict(rule)
        elif callable(rule):
            if inspect.iscoroutinefunction(rule):
                raise TypeError("A calibration is computed at once: it cannot be a coroutine.")
            self._apply = rule
            self.rule = rule
        else:
            raise TypeError(f"A calibration is an expression, a table or a function, not {rule!r}.")
        self.units = units
        self.errors = errors

    @classmethod
    def of(
        cls,
        rule: Rule | Calibration | None,
        *,
        units: str = "",
        functions: Functions
        | Iterable[Callable[..., Any]]
        | Mapping[str, Callable[..., Any]]
        | None = None,
        errors: Literal["fail", "omit"] = "fail",
    ) -> Calibration | None:
        """Return the calibration that an argument stands for.

        None, and a `Calibration`, stand for themselves; the other arguments are for those that are
        yet to be made.
        """
        if rule is None or isinstance(rule, Calibration):
            return rule
        return cls(rule, units=units, functions=functions, errors=errors)

    def apply(self, raw: Any) -> Any | None:
        """Return the calibrated value; None if there is none.

        Parameters
        ----------
        raw : object
            A number, a text or bytes (UTF-8), as it came. None has no calibrated value.

        Raises
        ------
        InvalidValueError
            If it cannot be calibrated (304); the text names it and says why. With ``errors="omit"``
            never.
        """
        try:
            return self.calibrate(raw)
        except InvalidValueError:
            if self.errors == "omit":
                return None
            raise

    def calibrate(self, raw: Any) -> Any | None:
        """Return the calibrated value, as `apply` does, but raise whatever `errors` says."""
        if raw is None:
            return None
        try:
            return self._apply(raw)
        except EvaluationError as error:
            reason = str(error)
        except Exception as error:
            # A function of the program; what it raises is one failed answer.
            reason = str(error) or type(error).__name__
        raise InvalidValueError(
            f"{_shown(raw)} cannot be calibrated: {reason[:200]}",
            payload=(raw,)
            if isinstance(raw, (str, bytes, float, bool)) or _is_small(raw)
            else None,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Calibration):
            return NotImplemented
        # Functions and expressions compare as `_apply`; equal tables match the same.
        return (self.rule, self.units, self.errors) == (other.rule, other.units, other.errors)

    __hash__ = None  # type: ignore[assignment]  # tables have none either

    def __str__(self) -> str:
        """Return the rule as text: an expression, a table as JSON, the name of a function."""
        if isinstance(self.rule, str):
            return self.rule
        if isinstance(self.rule, Mapping):
            return json.dumps(self.rule, ensure_ascii=False)
        return str(getattr(self.rule, "__name__", type(self.rule).__name__))

    def __repr__(self) -> str:
        units = f", units={self.units!r}" if self.units else ""
        return f"Calibration({self.rule!r}{units})"


def _shown(raw: Any) -> str:
    """Return the raw value for messages: as it is on the wire, and not all of a long one."""
    if isinstance(raw, (bytes, bytearray)):
        raw = raw.decode("utf-8", "replace")
    if isinstance(raw, int) and raw.bit_length() > 4 * _SHOWN:
        return f"An integer of {raw.bit_length()} bits"
    text = str(raw)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_small(raw: Any) -> bool:
    return isinstance(raw, int) and raw.bit_length() <= 4096
