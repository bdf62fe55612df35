"""Expressions: what they mean, what is refused, and within which bounds they are computed."""

from __future__ import annotations

import contextlib
import math
import pickle
import sys
import time
from collections import UserDict
from collections.abc import Iterator
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any

import pytest

from katcp.expressions import EvaluationError, Expression, ExpressionError, value_of
from katcp.expressions._errors import shown

#: Longest time on the processor that anything may take [s]; more of it where lines are counted.
AT_ONCE = 0.01 if sys.gettrace() is None else 0.1


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    begin = time.thread_time()
    yield
    assert time.thread_time() - begin < AT_ONCE


def evaluated(text: str, value: Any = 0) -> Any:
    return Expression(text).evaluate(value)


MEANINGS = [
    ("{}", 5, 5),
    ("{0}", 5, 5),
    ("{value}", 5, 5),
    ("{raw}", 5, 5),
    ("{}+{0}-{value}*{raw}", 3, -3),
    ("3", None, 3),
    (" 3 ", None, 3),
    (".5", None, 0.5),
    ("1.", None, 1.0),
    ("1e3", None, 1000.0),
    ("1.5E-1", None, 0.15),
    ("0x1F + 0b101 + 0o17", None, 51),
    ("00", None, 0),
    ("1.*{}", 3, 3.0),
    ("{}*1", 3, 3),
    ("7 // 2", None, 3),
    ("-7 // 2", None, -4),
    ("-7 % 3", None, 2),
    ("7.5 % 2", None, 1.5),
    ("2 - 3 - 4", None, -5),
    ("2 - (3 - 4)", None, 3),
    ("2 + 3 * 4 - 6 / 2", None, 11.0),
    ("7 // 2 % 2 * 3", None, 3),
    ("2 ** 3 ** 2", None, 512),
    ("(2 ** 3) ** 2", None, 64),
    ("-2 ** 2", None, -4),
    ("2 ** -1", None, 0.5),
    ("2 ** - - 2", None, 4),
    ("{}**2", -3, 9),
    ("2-{}", -3, 5),
    ("- - {}", 4, 4),
    ("+{}", True, 1),
    ("-{} ** 2", 3, -9),
    ("2 * -{}", 3, -6),
    ("True + True", None, 2),
    ("None", None, None),
    ("1 < 2", None, True),
    ("1 < 2 == True", None, False),
    ("0 < {} <= 5", 5, True),
    ("0 < {} <= 5", 0, False),
    ("0 < {} < 5 < 1 / 0", 7, False),
    ("1 + 1 == 2 and 2 * 2 > 3", None, True),
    ("1 != 1.0", None, False),
    ("not {} == 3", 3, False),
    ("not not {}", 3, True),
    ("not 0 and 5", None, 5),
    ("0 or '' or 'x' or 1 / 0", None, "x"),
    ("1 and 0 and 1 / 0", None, 0),
    ("0 and 1 or 2", None, 2),
    ("1 or 0 and 0", None, 1),
    ("1 if {} > 3 else 2", 4, 1),
    ("1 if {} > 3 else 2 if {} > 2 else 3", 3, 2),
    ("1 if {} > 3 else None", 2, None),
    ("(1 if 0 else 2) + 1", None, 3),
    ("1 if 1 else 1 / 0", None, 1),
    ("'a' if {} == 'x' else 'b'", "x", "a"),
    ("{} == 'x'", 3, False),
    ("{} != 'x'", 3, True),
    ("{} == None", 3, False),
    ("{} < 'b'", "a", True),
    ("'it\\'s' ", None, "it's"),
    ('"a\\n\\t\\r\\"\\\\\\x41\\u00e9"', None, 'a\n\t\r"\\Aé'),
    ("'{}'", None, "{}"),
    ("'a#b'", None, "a#b"),
    ("abs(-{})", 3, 3),
    ("min({}, 2, 1.5)", 3, 1.5),
    ("max(1, {},)", 3, 3),
    ("min({})", 3, 3),
    ("round(2.567, 1)", None, 2.6),
    ("round({}, -2)", 1234, 1200),
    ("round(2.5)", None, 2),
    ("int(2.9) + int('7') + int({})", "8", 17),
    ("float('1e3')", None, 1000.0),
    ("bool({})", 0, False),
    ("bool('x')", None, True),
    ("sqrt(16)", None, 4.0),
    ("log(exp(2))", None, 2.0),
    ("log(8, 2)", None, 3.0),
    ("log10(1000)", None, 3.0),
    ("sin(0) + cos(0) + tan(0)", None, 1.0),
    ("atan2(0, 1)", None, 0.0),
    ("floor(2.5) * ceil(2.5)", None, 6),
    ("times2({}) + times3({})", 1, 5.0),
    ("({}\n - 32)\t/ 1.8", 212, 100.0),
]


@pytest.mark.parametrize(("text", "value", "expected"), MEANINGS)
def test_it_means_what_it_means_in_python(text: str, value: Any, expected: Any) -> None:
    result = evaluated(text, value)
    assert result == pytest.approx(expected) if type(expected) is float else result == expected
    assert type(result) is type(expected)


REFUSED = [
    ("", 0, "no expression"),
    ("  ", 2, "no expression"),
    ("1 +", 3, "ends too early"),
    ("(1", 2, "where ')' should stand"),
    ("1)", 1, "unexpected ')'"),
    ("()", 1, "unexpected ')'"),
    ("1 2", 2, "unexpected 2"),
    ("{} {}", 3, "unexpected {}"),
    ("1 'a'", 2, "unexpected 'a'"),
    ("1, 2", 1, "unexpected ','"),
    ("(1,)", 2, "unexpected ','"),
    ("* 2", 0, "unexpected '*'"),
    ("1 if 2", 6, "where 'else' should stand"),
    ("1 else 2", 2, "unexpected 'else'"),
    ("1 not 2", 2, "unexpected 'not'"),
    ("1 == not 2", 5, "unexpected 'not'"),
    ("1 + not 2", 4, "unexpected 'not'"),
    ("- not 2", 2, "unexpected 'not'"),
    ("1 in 2", 2, "'in' is not allowed"),
    ("1 is 2", 2, "'is' is not allowed"),
    ("lambda: 1", 0, "'lambda' is not allowed"),
    ("await {}", 0, "'await' is not allowed"),
    ("(yield)", 1, "'yield' is not allowed"),
    ("import os", 0, "'import' is not allowed"),
    ("a", 0, "unknown name 'a'"),
    ("value", 0, "a value is written in braces: {value}"),
    ("sqrt", 0, "unknown name 'sqrt'"),
    ("open('/etc/passwd').read()", 0, "unknown function 'open'"),
    ("__import__('os')", 0, "unknown function '__import__'"),
    ("exec('1')", 0, "unknown function 'exec'"),
    ("{}.real", 2, "attributes"),
    ("1.real", 0, "'1.r' is no number"),
    ("1..real", 2, "attributes"),
    ("().__class__", 1, "unexpected ')'"),
    ("abs(1).real", 6, "attributes"),
    ("{}[0]", 2, "subscripts"),
    ("[x for x in (1,)]", 0, "lists"),
    ("{0.__class__}", 0, "attributes"),
    ("{0[0]}", 0, "subscripts"),
    ("{!r}", 0, "conversions"),
    ("{:>5}", 0, "formats"),
    ("{1}", 0, "but one value"),
    ("{ }", 0, "is no value"),
    ("{foo}", 0, "is no value"),
    ("{{}}", 0, "not closed"),
    ("{", 0, "not closed"),
    ("}", 0, "not opened"),
    ('f"{1}"', 0, "prefix"),
    ("b'x'", 0, "prefix"),
    ("'abc", 0, "not closed"),
    ("'a\nb'", 0, "not closed"),
    ('"', 0, "not closed"),
    ("'\\q'", 1, "no escape \\q"),
    ("'ab\\N{DASH}'", 3, "no escape \\N"),
    ("1 # one", 2, "comments"),
    ("x = 1", 2, "neither assignments"),
    ("1 = 1", 2, "to compare: =="),
    ("(x := 1)", 3, "':' is not allowed"),
    ("round(x=1)", 7, "nor keyword arguments"),
    ("round(1, n=1)", 10, "nor keyword arguments"),
    ("max(*{})", 4, "unexpected '*'"),
    ("max(**{})", 4, "unexpected '**'"),
    ("max(,)", 4, "unexpected ','"),
    ("max(1,,2)", 6, "unexpected ','"),
    ("max(1 2)", 6, "where ',' should stand"),
    ("max(1", 5, "where ',' should stand"),
    ("min()", 0, "needs 1"),
    ("sqrt(1, 2)", 0, "takes 1"),
    ("atan2(1)", 0, "needs 2"),
    ("1 & 2", 2, "'&' is not allowed"),
    ("1 << 2", 3, "unexpected '<'"),
    ("~1", 0, "'~' is not allowed"),
    ("1 ^ 2", 2, "'^' is not allowed"),
    ("1 @ 2", 2, "'@' is not allowed"),
    ("1; 2", 1, "';' is not allowed"),
    ("`1`", 0, "'`' is not allowed"),
    ("1 <> 2", 3, "unexpected '>'"),
    ("1_000", 0, "no number"),
    ("1j", 0, "no number"),
    ("0777", 0, "begins with a zero"),
    ("0x", 0, "no number"),
    ("1.2.3", 3, "attributes"),
    ("1e", 0, "no number"),
    ("{}²", 2, "is not allowed"),
    ("é", 0, "is not allowed"),
    ("'a' 'b'", 4, "unexpected 'b'"),
    ("max(1)(2)", 6, "unexpected '('"),
    ("1\0", 1, "is not allowed"),
]


@pytest.mark.parametrize(("text", "position", "reason"), REFUSED)
def test_anything_else_is_refused_with_its_position(text: str, position: int, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert reason in caught.value.reason
    assert caught.value.position == position
    assert caught.value.text == text
    assert f"at character {position + 1}" in str(caught.value)


@pytest.mark.parametrize("text", [None, 5, b"{}", ["{}"]])
def test_only_texts_are_expressions(text: Any) -> None:
    with pytest.raises(ExpressionError, match="is a text"):
        Expression(text)


def test_an_error_can_be_pickled() -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression("1 +")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert (again.text, again.position) == ("1 +", 3)


def test_values_in_messages_are_short() -> None:
    assert shown("a") == "'a'"
    assert shown(2**200) == "an integer of 201 bits"
    for value in ("x" * 1000, b"x" * 1000, bytearray(1000), 2**5000, [1] * 1000):
        assert len(shown(value)) < 300


# -- bounds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "1" + ")" * 10_000,
        "1+" * 500_000 + "1",
        "9" * 1_000_000,
        "'" + "a" * 1_000_000 + "'",
        "(" * 51 + "1" + ")" * 51,
        "-" * 51 + "1",
        "not " * 51 + "1",
        "2**" * 51 + "1",
        "abs(" * 51 + "1" + ")" * 51,
        "1+(" * 51 + "1" + ")" * 51,
        "1 or 1 and 1 == 1 + 1 * (" * 20 + "1" + ")" * 20,
        "1 if 1 else " * 51 + "1",
        "1 if (" * 51 + "1" + ") else 1" * 51,
        "+".join("1" * 500),
        "[" * 1000,
        "{" * 1000,
    ],
    ids=lambda text: f"{text[:9]}...{len(text)}",
)
def test_large_ones_are_refused_at_once(text: str) -> None:
    with at_once(), pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert len(str(caught.value)) < 500
    assert len(caught.value.text) <= 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(" * 50 + "1" + ")" * 50, 1),
        ("-" * 48 + "1", 1),
        ("abs(" * 49 + "1" + ")" * 49, 1),
        ("1+(" * 48 + "1" + ")" * 48, 49),
        ("1 if 0 else " * 48 + "2", 2),
        ("+".join("1" * 240), 240),
        ("max(" + "1," * 480 + ")", 1),
        ("1 or 1 and 1 == 1 + 1 * (" * 9 + "1" + ")" * 9, 1),
        ("9" * 1000, 10**1000 - 1),
        ("{}" + " " * 998, 0),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_those_within_the_bounds_are_computed(text: str, expected: int) -> None:
    assert evaluated(text) == expected


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ("9**9**9", 0, "more than 4096 bits"),
        ("{}**{}", 10**6, "more than 4096 bits"),
        ("{}**{}", "1e6", "too large"),
        ("(-{})**{}", 10**6, "more than 4096 bits"),
        ("2**4096", 0, "more than 4096 bits"),
        ("{}*{}", 2**4000, "more than 4096 bits"),
        ("{}+{}", 2**4095, "more than 4096 bits"),
        ("-{}-{}", 2**4095, "more than 4096 bits"),
        ("{}", 2**4096, "more than 4096 bits"),
        ("{}+1.0", 2**4000, "too large"),
        ("{}/3", 2**4000, "too large"),
        ("exp({})", 1000, "exp: the result is too large"),
        ("{}**2.5", 1e300, "too large"),
        ("round({}, -1000000000)", 5, "round: -1000000000 digits"),
        ("round({}, 1000000000)", 5, "digits"),
        ("round(5, 1.5)", 0, "1.5 is no integer"),
        ("{}/0", 1, "division by zero"),
        ("{}//0", 1, "division by zero"),
        ("{}%0", 1, "division by zero"),
        ("{}/0.0", 1.0, "division by zero"),
        ("0**-1", 0, "division by zero"),
        ("log(2, 1)", 0, "log: division by zero"),
        ("sqrt(-1)", 0, "sqrt: "),
        ("int({})", math.inf, "int: the result is too large"),
        ("int({})", math.nan, "int: "),
        ("int('x')", 0, "int: the text 'x' is no number"),
        ("(-8)**0.5", 0, "no real number"),
        ("{}+1", "abc", "the text 'abc' is no number"),
        ("{}*1000000", "a b", "is no number"),
        ("1+None", 0, "nothing (None) is no number"),
        ("'%1000000d' % 1", 0, "is no number"),
        ("-'a'", 0, "is no number"),
        ("+'a'", 0, "is no number"),
        ("abs('a')", 0, "abs: the text 'a' is no number"),
        ("max('a', 'b')", 0, "max: "),
        ("times2({})", "x", "times2: "),
        ("1 < 'a'", 0, "is no number"),
        ("'a' < 1", 0, "is no number"),
        ("None < 1", 0, "nothing (None)"),
        ("{}", "x" * 4097, "more than 4096 bytes"),
        ("{}", "é" * 2049, "more than 4096 bytes"),
        ("{}", [1], "the type list"),
        ("{}", {"value": 1}, "the type dict"),
        ("{}", object(), "the type object"),
        ("{}", 1j, "the type complex"),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_what_has_no_result_says_why_and_at_once(text: str, value: Any, reason: str) -> None:
    expression = Expression(text)
    with at_once(), pytest.raises(EvaluationError) as caught:
        expression.evaluate(value)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("2**4095", 0, 2**4095),
        ("{}*{}", 2**2047, 2**4094),
        ("(-1)**{}", 10**30, 1),
        ("0**{}", 10**30, 0),
        ("1**{}", 10**30, 1),
        ("{}*1e308*10", 1, math.inf),
        ("{} - {}", math.inf, math.nan),
        ("{}", "nan", math.nan),
        ("round({}, 400)", 1.5, 1.5),
        ("{}", "é" * 2048, "é" * 2048),
        ("{} == 'a'", "x" * 100_000, False),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_what_is_just_within_the_bounds(text: str, value: Any, expected: Any) -> None:
    result = evaluated(text, value)
    assert result == expected or (result != result and expected != expected)


# -- values -------------------------------------------------------------------------------


class Colour(str, Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 7


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", 1),
        (b" 1 ", 1),
        (bytearray(b"1.5"), 1.5),
        ("+5", 5),
        ("-0.005", -0.005),
        ("1e21", 1e21),
        ("5.", 5.0),
        (".5", 0.5),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("٣", "٣"),
        ("", ""),
        ("  ", ""),
        (" on ", "on"),
        ("True", "True"),
        ("1 2", "1 2"),
        ("9" * 1400, math.inf),
        ("9" * 2000, "9" * 2000),
        (b"\xff", "\udcff"),
        (None, None),
        (True, True),
        (Colour.RED, "red"),
        (Level.LOW, 7),
        (Fraction(1, 4), 0.25),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_values_from_outside_become_plain_ones(given: Any, expected: Any) -> None:
    value = value_of(given)
    assert value == expected
    assert type(value) is type(expected)


def test_a_text_of_too_many_bits_is_refused() -> None:
    with pytest.raises(EvaluationError, match="4096 bits"):
        value_of("9" * 1290)


def test_no_value_changes_the_expression() -> None:
    for text in ("1) or open('x') or (1", "{}", "{value}", "__import__('os')", "0 or 1"):
        assert evaluated("{}", text) == text
        with pytest.raises(EvaluationError, match="is no number"):
            evaluated("2*{}", text)


class Loud(float):
    def __mul__(self, other: Any) -> Any:
        raise AssertionError("an operation of a value's own type was called")

    __rmul__ = __add__ = __pow__ = __mul__


def test_types_of_users_bring_no_operations_of_their_own() -> None:
    assert evaluated("{}*2", Loud(1.5)) == 3.0
    assert type(evaluated("{}", Loud(1.5))) is float


def test_a_float_that_cannot_be_one_is_refused() -> None:
    class Odd(Fraction):
        def __float__(self) -> float:
            raise OverflowError

    with pytest.raises(EvaluationError, match="the type Odd"):
        evaluated("{}", Odd(1, 2))


# -- several values -----------------------------------------------------------------------


def test_named_values_come_as_a_mapping() -> None:
    expression = Expression("{a}*{b-c} + {a}", variable_names=["b-c", "a", "d.e"])
    assert expression.variables == ("a", "b-c")
    assert expression.evaluate({"a": "2", "b-c": 3.5}) == 9.0
    assert expression.evaluate(UserDict(a=2, **{"b-c": b"1"})) == 4


def test_a_value_that_is_not_needed_may_be_missing() -> None:
    expression = Expression("{a} if {b} else {c}", variable_names=("a", "b", "c"))
    assert expression.evaluate({"a": 1, "b": 1}) == 1
    with pytest.raises(EvaluationError, match="c has no value"):
        expression.evaluate({"a": 1, "b": 0})


@pytest.mark.parametrize("given", [None, 5, "a"])
def test_values_that_are_no_mapping_are_no_crash(given: Any) -> None:
    with pytest.raises(EvaluationError):
        Expression("{a}", variable_names=("a",)).evaluate(given)


@pytest.mark.parametrize("text", ["{}", "{0}", "{value}", "{b}", "{a.b}"])
def test_names_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"there are \{a\}"):
        Expression(text, variable_names=("a",))


def test_any_names_can_be_allowed_and_are_told() -> None:
    expression = Expression("{z.y_1} + {kv.foo-bar} * {z.y_1} + {0}", variable_names=None)
    assert expression.variables == ("z.y_1", "kv.foo-bar", "0")
    for text in ("{}", "{.a}", "{a.}", "{a..b}", "{a b}", "{a!r}", "{a[0]}", "{é}"):
        with pytest.raises(ExpressionError, match="not the name"):
            Expression(text, variable_names=None)


def test_no_names_no_values() -> None:
    assert Expression("1+1", variable_names=()).evaluate({}) == 2
    with pytest.raises(ExpressionError, match="there are none"):
        Expression("{a}", variable_names=())


def test_bad_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'a b' cannot be the name"):
        Expression("1", variable_names=("a b",))


def test_the_one_value_is_told_too() -> None:
    assert Expression("{} + {raw}").variables == ("value",)
    assert Expression("3").variables == ()


# -- as objects ---------------------------------------------------------------------------


def test_equal_texts_make_equal_expressions() -> None:
    assert Expression("{}") == Expression("{}")
    assert hash(Expression("{}")) == hash(Expression("{}"))
    assert Expression("{}") != Expression("{0}")
    assert Expression("{a}", variable_names=("a",)) != Expression("{a}", variable_names=None)
    assert Expression("1", functions={"f": abs}) != Expression("1")
    assert Expression("{}") != "{}"
    assert repr(Expression("2*{}")) == "Expression('2*{}')"
