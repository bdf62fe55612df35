"""Formulas made at random mean the same as in Python, where they are allowed."""

from __future__ import annotations

import random

import pytest

from katcp.expressions import ExpressionError
from tests.fuzz._formulas import Expression, expressions

_CONSTANTS = ["0", "1", "2", "3.5", "1e300", "'a'", "True", "None", "7", ".25", "0x1f"]
_OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", " and ", " or "]
_FUNCTIONS = ["abs", "round", "int", "float", "sqrt", "bool", "floor", "times2"]


def formula(source: random.Random, depth: int) -> str:
    def part() -> str:
        return formula(source, depth - 1)

    match source.randrange(10) if depth else source.randrange(2):
        case 0:
            return source.choice(["{}", "{raw}"])
        case 1:
            return source.choice(_CONSTANTS)
        case 2:
            return f"({part()})"
        case 3:
            return source.choice("+-") + part()
        case 4:
            return f"not {part()}"
        case 5:
            return f"{part()} if {part()} else {part()}"
        case 6:
            return f"{source.choice(_FUNCTIONS)}({part()})"
        case 7:
            return f"max({part()}, {part()})"
        case _:
            return part() + source.choice(_OPERATORS) + part()


@pytest.mark.slow
def test_formulas_mean_what_they_mean_in_python() -> None:
    source = random.Random("formulas")
    allowed = 0
    for _ in range(3000):
        text = formula(source, source.randrange(1, 6))
        expressions(bytes([source.randrange(11)]) + text.encode())
        try:
            Expression(text)
        except ExpressionError:
            continue
        allowed += 1
    assert allowed > 2000
