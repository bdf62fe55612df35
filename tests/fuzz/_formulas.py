"""Target: expressions, beside Python itself, which means the same by what they allow."""

from __future__ import annotations

import ast
import math
import time
import warnings
from typing import Any

from katcp.expressions import EvaluationError, Expression, ExpressionError, Functions, value_of
from katcp.expressions._tokens import tokens
from tests.fuzz._source import Source

#: Longest time on the processor that a case may take [s]; they take tens of microseconds.
PATIENCE = 0.1

_VALUES: list[Any] = ["1.5", 0, -3, "abc", None, True, 10**6, 2**4000, b"1e308", math.nan, "-inf"]
_KNOWN = Functions()


def expressions(data: bytes) -> None:
    """A text is refused with its reason, or has a result, or none; as in Python; at once."""
    source = Source(data)
    value = source.choice(_VALUES)
    text = source.rest().decode("utf-8", "replace").replace("\0", "0")  # Python has none
    begin = time.thread_time()
    try:
        expression = Expression(text)
    except ExpressionError as error:
        _check_words(error, error.position, len(text))
        return
    finally:
        assert time.thread_time() - begin < PATIENCE
    assert len(text) <= 1000
    allowed = ast.parse(_as_python(text), mode="eval")
    try:
        result = expression.evaluate(value)
    except EvaluationError as error:
        _check_words(error)
        return
    finally:
        assert time.thread_time() - begin < PATIENCE
    assert type(result) in (int, float, str, bool, type(None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what looks odd in a program
        code = compile(allowed, text, "eval")
    expected = eval(code, {"__builtins__": {}, **_KNOWN, "v": value_of(value)})
    same = result == expected and type(result) is type(expected)
    assert same or (result != result and expected != expected), (text, value, result, expected)


def _check_words(error: ValueError, position: int = 0, length: int = 0) -> None:
    assert 0 < len(str(error)) < 1000
    assert 0 <= position <= length


def _as_python(text: str) -> str:
    """Return the text with a name for what stands in braces, and with brackets around lines."""
    words, at = [], 0
    for word in tokens(text):
        if word.kind == "variable":
            words += [text[at : word.position], " v "]
            at = word.position + len(word.value) + 2
    return f"({''.join(words)}{text[at:]}\n)"
