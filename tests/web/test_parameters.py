"""What requests take, read from help texts."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.kattypes import Float, Int, TypedSignature
from katcp.web import Parameter, parse_usage
from katcp.web._parameters import usage_in


def test_what_handlers_say_is_understood() -> None:
    def request_all(
        self: Any,
        req: Any,
        number: Annotated[int, Int(min=1, max=5)],
        size: Annotated[float, Float(min=-0.5)],
        on: bool,
        mode: Literal["off", "warm-up"] = "off",
        text: str = "a, b: c",
        more: int | None = None,
        *words: str,
    ) -> None:
        """Do it."""

    signature = TypedSignature.of(request_all)
    assert signature is not None
    assert (
        parse_usage(signature.usage)
        == [
            Parameter("number", "integer", minimum="1", maximum="5"),
            Parameter("size", "float", minimum="-0.5"),
            Parameter("on", "boolean"),
            Parameter("mode", "discrete", True, default="off", choices=("off", "warm-up")),
            Parameter("text", "string", True, default="a"),
            Parameter("b", "c"),
            Parameter("more", "integer", True),
            Parameter("words", "string", True, True),
        ]
        or parse_usage(signature.usage) is None
    )


@pytest.mark.parametrize("usage", ["x", "x: ", "x: integer(", "1: integer", "x: integer, y", "[x"])
def test_what_is_not_understood_is_not_guessed(usage: str) -> None:
    assert parse_usage(usage) is None


def test_no_parameters() -> None:
    assert parse_usage("") == []


@given(st.text(alphabet="ab:,()[]|.= 15><\n-", max_size=60))
def test_nothing_breaks_it(usage: str) -> None:
    found = parse_usage(usage)
    assert found is None or all(parameter.name for parameter in found)


def test_the_line_in_a_help_text() -> None:
    text = inspect.cleandoc(
        """Do it.

        Parameters: not the last line

        Parameters: x: integer"""
    )
    assert usage_in(text) == "x: integer"
    assert usage_in("Do it.") is None
