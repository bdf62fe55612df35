"""An expression: a text that is parsed once and computed often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from katcp.expressions._errors import EvaluationError, ExpressionError, shown
from katcp.expressions._functions import Functions
from katcp.expressions._parser import Parser
from katcp.expressions._values import Value, result_of, value_of
from katcp.expressions._variables import ONE_VALUE, Variables


class Expression:
    """A formula from a file or from the wire, safe to compute whoever wrote it.

    It has numbers, texts in quotes, ``True``, ``False`` and ``None``; values in braces; ``+ - * /
    // % **``, comparisons (also ``0 < {} < 5``), ``and or not``, ``a if condition else b``,
    brackets, and calls of registered functions by position, all with the meaning and the precedence
    that they have in Python. There is nothing else: no attributes, no subscripts, no names, no
    loops. Nor is it ever given to Python to be compiled.

    Values are bound as values and not pasted as text, so that ``{}**2`` of -3 is 9, and no value
    can change the formula. Those that come as text are numbers if they read as such (`evaluate`).

    The bounds: 1000 characters, 500 parts, 50 levels; integers of 4096 bits, which is looked at
    before powers and products are computed; results of 4096 bytes of text. So neither making nor
    computing one takes long, whatever it is.

    Parameters
    ----------
    text : str
    variable_names : iterable of str, optional
        What may stand in braces. By default there is one value: ``{}``, ``{0}``, ``{value}`` and
        ``{raw}``. Given names are values of their own, dots and dashes allowed: ``{pump.speed}``.
        None allows any name; `variables` tells those that are used.
    functions : Functions, iterable of callables or mapping, optional
        Functions that may be called besides the standard ones; see `Functions`.

    Attributes
    ----------
    text : str
    variables : tuple of str
        Names that are used, in the order in which they first come; of the one value, "value".

    Raises
    ------
    ExpressionError
        If the text is no expression, or exceeds a bound; it says what is wrong, and where.

    Examples
    --------
    >>> Expression("({} - 32) / 1.8").evaluate("212")
    100.0
    >>> Expression("{a} if {b} > 0 else 0", variable_names=("a", "b")).evaluate({"a": 7, "b": 1})
    7
    """

    __slots__ = ("_functions", "_names", "_one_value", "_run", "text", "variables")

    text: str
    variables: tuple[str, ...]

    def __init__(
        self,
        text: str,
        *,
        variable_names: Iterable[str] | None = ONE_VALUE,
        functions: Functions
        | Iterable[Callable[..., Any]]
        | Mapping[str, Callable[..., Any]]
        | None = None,
    ) -> None:
        if not isinstance(text, str):
            raise ExpressionError(f"an expression is a text, not {shown(text)}", "", 0)
        known = Variables(variable_names)
        self._functions = Functions.of(functions)
        self._run = Parser(text, known, self._functions).parse().run
        self._names = known.names
        self._one_value = known.one_value
        self.text = text
        self.variables = tuple(known.used)

    def evaluate(self, value: Any = None) -> Value:
        """Return the result for a value, or for several.

        Parameters
        ----------
        value : object or mapping
            The one value; or, of an expression with names, a mapping that has those that are
            needed. Numbers, true, false, None, texts and bytes (UTF-8). A text that reads as an
            integer or a float is that; others are taken without the blanks around them.

        Returns
        -------
        int, float, str, bool or None

        Raises
        ------
        EvaluationError
            If there is no result: division by zero, a text in arithmetic, a number too large, a
            value that is missing, an error of a function.
        """
        try:
            scope = value_of(value) if self._one_value else value
            return result_of(self._run(scope))
        except OverflowError:
            raise EvaluationError("the result is too large") from None
        except ArithmeticError as error:
            raise EvaluationError(_reason(error)) from None
        except EvaluationError:
            raise
        except (TypeError, ValueError) as error:
            raise EvaluationError(str(error)) from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Expression):
            return NotImplemented
        return (self.text, self._names, self._functions) == (
            other.text,
            other._names,
            other._functions,
        )

    def __hash__(self) -> int:
        return hash((self.text, self._names))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _reason(error: ArithmeticError) -> str:
    # The words differ between versions of Python.
    return "division by zero" if isinstance(error, ZeroDivisionError) else str(error)
