"""Formulas in texts, evaluated safely and within bounds."""

from katcp.expressions._errors import EvaluationError, ExpressionError
from katcp.expressions._expression import Expression
from katcp.expressions._functions import Functions, times2, times3
from katcp.expressions._values import Value, value_of

__all__ = [
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Functions",
    "Value",
    "times2",
    "times3",
    "value_of",
]
