from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.resource import normalize_strategy_parameters


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("event", ("event",)),
        ("event-rate 0.1 2.5", ("event-rate", "0.1", "2.5")),
        (("event-rate", 0.1, 2.5), ("event-rate", "0.1", "2.5")),
        (["period", "0.50"], ("period", "0.5")),
        ("differential 1e-9", ("differential", "1e-09")),
        ("period inf", ("period", "inf")),
        ("period nonsense", ("period", "nonsense")),
        ("  period   5 ", ("period", "5")),
        (b"period 5.5", ("period", "5.5")),
        (("period", b"5.50"), ("period", "5.5")),
        (("period", Decimal("5.50")), ("period", "5.5")),
        (("event-rate", "1", "2 3"), ("event-rate", "1", "2 3")),
        ("period 1_0", ("period", "1_0")),
        ("", ("",)),
        ((), ()),
    ],
)
def test_normalizing(given_: Any, normal: tuple[str, ...]) -> None:
    assert normalize_strategy_parameters(given_) == normal


@pytest.mark.parametrize(
    ("given_", "normal"),
    [
        ("differential 3", ("differential", "3")),
        (("differential", 3), ("differential", "3")),
        (("differential", "-3"), ("differential", "-3")),
        (("event-rate", True, 10), ("event-rate", "1", "10")),
        (("differential", 3.0), ("differential", "3.0")),
    ],
)
def test_w71_whole_numbers_stay_whole(given_: Any, normal: tuple[str, ...]) -> None:
    assert normalize_strategy_parameters(given_) == normal


@pytest.mark.parametrize("bad", [None, 5])
def test_what_is_no_strategy(bad: Any) -> None:
    with pytest.raises(TypeError):
        normalize_strategy_parameters(bad)


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False))))
def test_numbers_survive_and_normalizing_twice_is_once(numbers: list[Any]) -> None:
    once = normalize_strategy_parameters(["event", *numbers])
    assert [float(text) for text in once[1:]] == [float(number) for number in numbers]
    assert normalize_strategy_parameters(once) == once
    assert normalize_strategy_parameters(" ".join(once)) == once
