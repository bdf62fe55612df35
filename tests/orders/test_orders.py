"""Orders: what they hold, how often they may fail, their JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import random

import pytest

from katcp.orders import (
    AdviseLevel,
    Disposition,
    MessageOrder,
    Order,
    OrderFormatError,
    ReadOrder,
    Section,
    SysctlOrder,
    WaitOrder,
    WaitUntilOrder,
    WriteOrder,
    order_from_json,
    orders_from_json,
    section_from_json,
    section_to_json,
)
from katcp.orders._orders import _KINDS
from tests.orders.bench import failing

FORCE, ADVISE = AdviseLevel.FORCE, AdviseLevel.ADVISE

ALL = [
    ReadOrder("Wr1"),
    ReadOrder("Wr1", FORCE),
    WriteOrder("W1", 7),
    WriteOrder("f1", 0.1, FORCE, 1700000000.25),
    WriteOrder("u1", "text with ä, \\, \n and = signs"),
    WriteOrder("B1", True, repeatable=True),
    WriteOrder("f1", math.inf, max_attempts=4, attempt_timeout=0.5),
    WaitOrder(0),
    WaitOrder(1.5, repeatable=False),
    WaitUntilOrder("pressure", "{value} > 5", 3),
    SysctlOrder("reboot", ""),
    MessageOrder("5f0c"),
]


def test_smok_ord_01_arguments_by_position_as_in_the_seed() -> None:
    read = ReadOrder("W1", FORCE)
    assert (read.pathpoint, read.advise) == ("W1", AdviseLevel.FORCE)
    write = WriteOrder("W1", 5, FORCE, 1700000000.0)
    assert (write.pathpoint, write.value, write.advise, write.stale_after) == (
        "W1",
        5,
        FORCE,
        1700000000.0,
    )
    assert WaitOrder(2.5).period == 2.5
    sysctl = SysctlOrder("reboot", "now")
    assert (sysctl.op_type, sysctl.op_args) == ("reboot", "now")
    assert MessageOrder("abc").uuid == "abc"
    assert (AdviseLevel.ADVISE, AdviseLevel.FORCE) == (0, 1)
    assert (Disposition.JOINABLE, Disposition.CANNOT_JOIN) == (0, 1)
    assert ReadOrder("W1", 1).advise is FORCE  # type: ignore[arg-type]


def test_smok_ord_02_a_write_that_is_advised_may_not_fail() -> None:
    order = WriteOrder("W1", 1, ADVISE)
    assert [order.fail() for _ in range(5)] == [False] * 5


def test_smok_ord_03_a_write_that_is_forced_may_fail_nine_times() -> None:
    order = WriteOrder("W1", 1, FORCE)
    assert [order.fail() for _ in range(9)] == [True] * 9
    assert [order.fail() for _ in range(101)] == [False] * 101


@pytest.mark.parametrize(
    ("order", "times"),
    [(ReadOrder("W1"), 2), (ReadOrder("W1", FORCE), 19), (MessageOrder("a"), 2)],
)
def test_smok_ord_04_reads_and_messages_may_fail(order: Order, times: int) -> None:
    assert [order.fail() for _ in range(times)] == [True] * times
    assert [order.fail() for _ in range(100)] == [False] * 100


@pytest.mark.parametrize(
    "order", [WaitOrder(1), SysctlOrder("a", "b"), WaitUntilOrder("s", "{}", 1)]
)
def test_smok_ord_05_waits_and_sysctl_orders_may_not(order: Order) -> None:
    assert not order.fail()
    assert not order.fail()


def test_how_often_it_may_fail_can_be_said() -> None:
    assert WriteOrder("W1", 1, max_attempts=3).attempts == 3
    order = SysctlOrder("a", "b", max_attempts=2)
    assert [order.fail() for _ in range(3)] == [True, False, False]
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_attempts"):
            ReadOrder("W1", max_attempts=wrong)
    for odd in ("3", 1.5, True):
        with pytest.raises(TypeError, match="max_attempts"):
            ReadOrder("W1", max_attempts=odd)  # type: ignore[arg-type]


@pytest.mark.parametrize("period", [-1, -0.001, math.nan, math.inf])
def test_smok_wait_04_a_wait_that_cannot_be_is_refused(period: float) -> None:
    with pytest.raises(ValueError, match="period"):
        WaitOrder(period)


def test_smok_wait_04_no_wait_at_all_is_allowed() -> None:
    assert WaitOrder(0).period == 0
    for odd in ("1", None, True):
        with pytest.raises(TypeError, match="period"):
            WaitOrder(odd)  # type: ignore[arg-type]


def test_what_is_no_order_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReadOrder("")
    with pytest.raises(TypeError, match="pathpoint"):
        WriteOrder(b"W1", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 is not a valid AdviseLevel"):
        ReadOrder("W1", 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stale_after"):
        WriteOrder("W1", 1, ADVISE, math.nan)
    with pytest.raises(TypeError, match="stale_after"):
        WriteOrder("W1", 1, ADVISE, "now")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="op_args"):
        SysctlOrder("a", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="repeatable"):
        ReadOrder("W1", repeatable=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="attempt_timeout"):
        ReadOrder("W1", attempt_timeout=0)
    with pytest.raises(TypeError, match="condition"):
        WaitUntilOrder("s", 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="open"):
        WaitUntilOrder("s", "open('x')")


def test_an_order_is_a_value() -> None:
    assert WriteOrder("W1", 1) == WriteOrder("W1", 1) != WriteOrder("W1", 2)
    assert len({ReadOrder("W1"), ReadOrder("W1"), ReadOrder("W2")}) == 2
    order = WriteOrder("W1", 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        order.value = 2  # type: ignore[misc]
    order.fail()
    assert order == WriteOrder("W1", 1)


def test_what_may_be_repeated() -> None:
    repeatable = {order.type for order in ALL if type(order)(*_positional(order)).repeatable}
    assert repeatable == {"read", "wait", "wait-until"}


def _positional(order: Order) -> list[object]:
    return [getattr(order, f.name) for f in dataclasses.fields(order) if f.init and not f.kw_only]


def test_a_condition_is_an_expression() -> None:
    order = WaitUntilOrder("pressure", "2 < {} and {} <= 4", 1)
    assert [order.satisfied_by(value) for value in (2, 3, 4, 5)] == [False, True, True, False]
    with pytest.raises(ValueError, match="text"):
        order.satisfied_by("text")


# -- JSON -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ALL, ids=lambda order: f"{order.type}-{order.target_name}")
def test_smok_ord_13_each_order_comes_back_from_json(order: Order) -> None:
    text = json.dumps(order.to_json())
    back = Order.from_json(text)
    assert back == order
    assert type(back) is type(order)
    assert back.repeatable == order.repeatable
    assert json.dumps(back.to_json()) == text
    assert order_from_json(json.loads(text)) == order
    assert pickle.loads(pickle.dumps(order)) == order


def test_smok_ord_13_every_kind_of_order_is_tried_here() -> None:
    assert {order.type for order in ALL} == set(_KINDS)


@pytest.mark.parametrize("disposition", list(Disposition))
def test_smok_ord_13_a_section_comes_back_from_json(disposition: Disposition) -> None:
    section = Section(ALL, disposition, section_id="s-1", finish_by=1700000000.5)
    back = Section.from_json(json.dumps(section.to_json()))
    assert list(back.orders) == ALL
    assert back.disposition is disposition
    assert (back.section_id, back.finish_by) == ("s-1", 1700000000.5)
    assert section_to_json(back) == section_to_json(section)
    plain = section_from_json(Section(ALL).to_json())
    assert (plain.section_id, plain.finish_by) == (None, None)


def test_smok_ord_13_what_is_not_said_is_0() -> None:
    section = Section.from_json('{"orders": [{"type": "read", "path": "W1"}]}')
    assert section.disposition is Disposition.JOINABLE
    assert section.orders[0] == ReadOrder("W1", ADVISE)
    write = Order.from_json({"type": "write", "path": "W1", "value": 1, "stale_after": None})
    assert write == WriteOrder("W1", 1, ADVISE, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 10_000, "array|not JSON"),
        ("{}", "must be an array"),
        ('"text"', "must be an array"),
        ('[{"type": "read", "path": "W1"}, 5]', "order 1: must be an object"),
        ('[{"type": "fly"}]', "order 0: has the unknown type 'fly'; the types are read"),
        ('[{"path": "W1"}]', "order 0: has no type"),
        ('[{"type": ["read"]}]', "order 0: has the unknown type"),
        ('[{"type": "read"}]', "order 0: read has no 'path'"),
        ('[{"type": "read", "path": ""}]', "order 0: read: pathpoint must not be empty"),
        ('[{"type": "read", "path": 5}]', "'path' must be text, not 5"),
        ('[{"type": "read", "path": "W1", "advise": 2}]', "'advise' must be 0 or 1, not 2"),
        ('[{"type": "read", "path": "W1", "advise": true}]', "'advise' must be 0 or 1"),
        ('[{"type": "read", "path": "W1", "pth": 1}]', "unknown field 'pth'; there are path"),
        ('[{"type": "write", "path": "W1"}]', "write has no 'value'"),
        ('[{"type": "write", "path": "W1", "value": [1]}]', "'value' must be a number"),
        (
            '[{"type": "write", "path": "W1", "value": 1, "stale_after": NaN}]',
            "stale_after must be finite",
        ),
        ('[{"type": "wait", "time": -1}]', "period must be 0 or more"),
        ('[{"type": "wait", "time": "1"}]', "'time' must be a number"),
        ('[{"type": "wait", "time": 1%s}]' % ("0" * 400), "must be finite, not an integer of"),
        ('[{"type": "read", "path": "\\ud800"}]', "'path' must be text that UTF-8 can have"),
        ('[{"type": "write", "path": "u1", "value": "\\ud800"}]', "UTF-8"),
        ('[{"type": "sysctl", "op_type": "a"}]', "sysctl has no 'op_args'"),
        ('[{"type": "message", "uuid": null}]', "message has no 'uuid'"),
        ('[{"type": "wait", "time": 1, "repeatable": 1}]', "'repeatable' must be true or false"),
        ('[{"type": "wait", "time": 1, "max_attempts": 1.5}]', "must be an integer"),
        (
            '[{"type": "wait-until", "sensor": "s", "condition": "{} +"}]',
            "order 0: wait-until: ",
        ),
    ],
)
def test_what_is_no_list_of_orders_is_refused_whole(text: str, reason: str) -> None:
    with pytest.raises(OrderFormatError, match=reason):
        orders_from_json(text)


def test_a_refusal_tells_which_order_it_is() -> None:
    with pytest.raises(OrderFormatError) as refused:
        orders_from_json([ReadOrder("W1").to_json(), {"type": "wait"}])
    assert refused.value.index == 1
    assert refused.value.reason == "wait has no 'time'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "a section must be an object"),
        ("{}", "a section has no 'orders'"),
        ('{"orders": [], "disposition": 2}', "'disposition' must be 0 or 1"),
        ('{"orders": [], "priority": 2}', "unknown field 'priority'"),
        ('{"orders": [{"type": "wait"}]}', "order 0: wait has no 'time'"),
        ('{"orders": [], "finish_by": "now"}', "'finish_by' must be a number"),
        ('{"orders": [], "finish_by": NaN}', "finish_by must be finite"),
        ('{"orders": [], "section_id": ""}', "section_id must not be empty"),
        ('{"orders": [], "section_id": 5}', "'section_id' must be text"),
    ],
)
def test_what_is_no_section_is_refused(text: str, reason: str) -> None:
    with pytest.raises(OrderFormatError, match=reason):
        Section.from_json(text)


def test_whatever_comes_it_is_a_section_or_refused() -> None:
    text = json.dumps(Section(ALL, Disposition.CANNOT_JOIN, section_id="s", finish_by=5).to_json())
    pieces = [
        '"',
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "1e999",
        "-",
        "null",
        "true",
        "NaN",
        "9" * 400,
    ]
    chance = random.Random(1)
    taken = longest = 0
    for _ in range(1500):
        start = chance.randrange(len(text))
        end = start + chance.choice([0, 1, 1, 5])
        mutant = text[:start] + chance.choice(pieces) + text[end:]
        try:
            section = Section.from_json(mutant)
        except OrderFormatError as error:
            longest = max(longest, len(str(error)))
        else:
            taken += 1
            again = Section.from_json(json.dumps(section.to_json()))
            assert repr(again.orders) == repr(section.orders)  # NaN is not equal to itself
    assert taken > 10
    assert longest < 1000


def test_the_helper_of_these_tests_fails_as_often_as_it_says() -> None:
    hook = failing(2)
    for _ in range(2):
        with pytest.raises(OSError, match="bus"):
            hook(1)
    hook(1)
