"""Functions that programs register for expressions."""

from __future__ import annotations

from typing import Any

import pytest

from katcp.expressions import (
    EvaluationError,
    Expression,
    ExpressionError,
    Functions,
    times2,
    times3,
)


def fahrenheit(celsius: Any) -> Any:
    return celsius * 1.8 + 32


def scaled(value: Any, factor: Any = 2, *, flag: bool = False) -> Any:
    return value * factor


def test_the_examples() -> None:
    assert times2(1.5) == 3.0
    assert times3(1.5) == 4.5
    assert type(times2(1)) is float


def test_functions_are_called_by_name() -> None:
    assert Expression("fahrenheit({})", functions=[fahrenheit]).evaluate("100") == 212.0
    assert Expression("f({})", functions={"f": fahrenheit}).evaluate(0) == 32.0
    assert Expression("sqrt(f({}))", functions=Functions({"f": lambda x: 4})).evaluate(0) == 2.0
    with pytest.raises(ExpressionError, match="unknown function"):
        Expression("fahrenheit({})")


def test_they_take_as_many_arguments_as_they_take() -> None:
    functions = Functions([scaled])
    assert Expression("scaled({})", functions=functions).evaluate(3) == 6
    assert Expression("scaled({}, 5)", functions=functions).evaluate(3) == 15
    for text in ("scaled()", "scaled(1, 2, 3)"):
        with pytest.raises(ExpressionError, match="scaled"):
            Expression(text, functions=functions)
    many = Functions({"many": lambda *values: len(values)})
    assert Expression("many(1, 2, 3)", functions=many).evaluate() == 3


def test_those_that_do_not_tell_are_asked_when_called() -> None:
    class Untold:
        __signature__ = None

        def __call__(self, *values: Any) -> Any:
            return len(values)

    untold = {"untold": Untold(), "most": max}
    assert Expression("untold(1, 2) + most(3, 4)", functions=untold).evaluate() == 6


@pytest.mark.parametrize(
    "name", ["", "_f", "__import__", "a b", "a.b", "lambda", "None", "é", "1f"]
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        Functions({name: fahrenheit})


def test_a_lambda_has_no_name_of_its_own() -> None:
    with pytest.raises(ValueError, match="<lambda>"):
        Functions([lambda x: x])


def test_names_that_are_taken_are_refused() -> None:
    with pytest.raises(ValueError, match="'sqrt' in expressions already"):
        Functions({"sqrt": fahrenheit})
    assert Functions([times2, times2])["times2"] is times2


@pytest.mark.parametrize("added", [[5], {"f": 5}])
def test_what_cannot_be_called_is_refused(added: Any) -> None:
    with pytest.raises(TypeError, match="5 is no function"):
        Functions(added)


def test_it_is_a_mapping() -> None:
    functions = Functions([fahrenheit])
    assert functions["fahrenheit"] is fahrenheit
    assert "fahrenheit" in functions
    assert "open" not in functions
    assert len(functions) == len(list(functions)) == len(Functions()) + 1
    assert functions == Functions([fahrenheit])
    assert repr(functions) == "<Functions: the standard ones, fahrenheit>"
    assert Functions(functions) == functions


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: 1 / 0, "f: division by zero"),
        (lambda x: 1e300**2, "f: the result is too large"),
        (lambda x: [][0], "f: list index out of range"),
        (lambda x: {}["k"], "f: 'k'"),
        (lambda x: [1], "f: a value of the type list"),
        (lambda x: b"x", "f: a value of the type bytes"),
        (lambda x: "x" * 5000, "f: a text of more than"),
        (lambda x: 1 << 5000, "f: an integer of more than"),
        (lambda x: next(iter(())), "f: StopIteration"),
    ],
)
def test_whatever_they_raise_is_no_result(function: Any, reason: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        Expression("f({})", functions={"f": function}).evaluate(1)
    assert str(caught.value).startswith(reason)


def test_what_they_return_is_a_plain_value() -> None:
    class Text(str):
        __slots__ = ()

    class Number(float):
        pass

    assert type(Expression("f({})", functions={"f": Text}).evaluate(1)) is str
    assert type(Expression("f({})", functions={"f": Number}).evaluate(1)) is float
    assert Expression("f({})", functions={"f": lambda x: None}).evaluate(1) is None
