from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.inspecting_client._sampling import (
    SamplingWishes,
    SetSampling,
    Wish,
    make_wish,
    set_requests,
    wire_arguments,
)
from katcp.protocol import ProtocolFlags

V51 = ProtocolFlags(5, 1, "MIBT")
V50 = ProtocolFlags(5, 0, "MI")
V4 = ProtocolFlags(4, 0, "")


@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        ("none", ()),
        ("auto", ()),
        ("event", ()),
        ("period", (0.001,)),
        ("period", ("2.5",)),
        ("period", (b"2",)),
        ("differential", (0,)),
        ("differential", (3,)),
        ("event-rate", (0, 1)),
        ("event-rate", (0.5, float("inf"))),
        ("differential-rate", (0.1, 0.5, 30)),
    ],
)
def test_good_ones(strategy: str, parameters: Sequence[float]) -> None:
    assert make_wish(strategy, parameters) == Wish(strategy, tuple(parameters))


@pytest.mark.parametrize(
    ("strategy", "parameters", "text"),
    [
        ("sometimes", (), "Unknown sampling strategy"),
        ("Event", (), "Unknown sampling strategy"),
        ("event", (1,), "takes 0 parameters"),
        ("period", (), "takes 1 parameters"),
        ("event-rate", (1,), "takes 2 parameters"),
        ("period", (0,), "period must be"),
        ("period", (0.0005,), "period must be"),
        ("period", (float("inf"),), "period must be"),
        ("period", (-1,), "at least 0"),
        ("period", (float("nan"),), "at least 0"),
        ("period", ("often",), "not a number"),
        ("period", (None,), "not a number"),
        ("differential", (-1,), "at least 0"),
        ("event-rate", (0, 0), "shortest time"),
        ("event-rate", (2, 1), "shortest time"),
        ("event-rate", (float("inf"), float("inf")), "shortest time"),
        ("differential-rate", (1, 2, 1), "shortest time"),
    ],
)
def test_what_no_device_would_take(strategy: str, parameters: Sequence[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make_wish(strategy, parameters)


@pytest.mark.parametrize(
    ("wish", "v5", "v4"),
    [
        (Wish("event", ()), b"event", b"event"),
        (Wish("period", (2,)), b"period 2", b"period 2000"),
        (Wish("period", (1.001,)), b"period 1.001", b"period 1001"),
        (Wish("period", ("0.5",)), b"period 0.5", b"period 500"),
        (Wish("period", (0.0015,)), b"period 0.0015", b"period 1.5"),
        (Wish("differential", (3,)), b"differential 3", b"differential 3"),
        (Wish("differential", (0.5,)), b"differential 0.5", b"differential 0.5"),
        (Wish("event-rate", (0.5, 30)), b"event-rate 0.5 30", b"event"),
        (
            Wish("differential-rate", (3, 0.5, 30)),
            b"differential-rate 3 0.5 30",
            b"differential 3",
        ),
    ],
)
def test_how_it_is_written(wish: Wish, v5: bytes, v4: bytes) -> None:
    assert b" ".join(wire_arguments(wish, 5, False)) == v5
    assert b" ".join(wire_arguments(wish, 6, False)) == v5
    assert b" ".join(wire_arguments(wish, 4, False)) == v4


def test_differences_of_timestamps_are_times() -> None:
    assert wire_arguments(Wish("differential", (2,)), 4, True) == (b"differential", b"2000")
    assert wire_arguments(Wish("differential", (2,)), 5, True) == (b"differential", b"2")


@given(st.integers(1, 10**9))
def test_whole_milliseconds_stay_whole(milliseconds: int) -> None:
    wish = Wish("period", (milliseconds / 1000,))
    assert wire_arguments(wish, 4, False) == (b"period", b"%d" % milliseconds)


def test_requests_are_grouped_where_the_device_can() -> None:
    event, period = Wish("event", ()), Wish("period", (1,))
    wishes = {"a": event, "b": period, "c": event}
    assert set_requests(wishes, V51, lambda name: False) == [
        SetSampling(("a", "c"), (b"event",)),
        SetSampling(("b",), (b"period", b"1")),
    ]
    assert set_requests(wishes, V50, lambda name: False) == [
        SetSampling(("a",), (b"event",)),
        SetSampling(("c",), (b"event",)),
        SetSampling(("b",), (b"period", b"1")),
    ]
    assert [r.arguments for r in set_requests(wishes, V4, lambda name: False)] == [
        (b"event",),
        (b"event",),
        (b"period", b"1000"),
    ]


def test_a_group_is_never_too_long_for_a_line() -> None:
    names = [f"{number:0200}" for number in range(5000)]
    wishes = dict.fromkeys(names, Wish("event", ()))
    requests = set_requests(wishes, V51, lambda name: False)
    assert [name for request in requests for name in request.names] == names
    assert max(len(",".join(request.names)) for request in requests) < 300_000
    assert max(len(request.names) for request in requests) <= 1000


def test_wishes_and_what_is_in_force() -> None:
    wishes = SamplingWishes()
    event = Wish("event", ())
    wishes.want(["a"], event)
    wishes.want(["b"], event)
    assert wishes.due({"a"}) == {"a": event}
    wishes.asked |= {"a", "b"}
    wishes.accepted(["a"], {"a": event})
    assert wishes.due({"a", "b"}) == {"b": event}
    wishes.accepted(["b"], {"b": event})
    wishes.sensors_gone(["a"])
    assert wishes.due({"a", "b"}) == {"a": event}
    wishes.connection_lost()
    assert set(wishes.due({"a", "b"})) == {"a", "b"}


def test_a_new_wish_replaces_the_old_one() -> None:
    wishes = SamplingWishes()
    event, period = Wish("event", ()), Wish("period", (1,))
    wishes.want(["a"], event)
    wishes.asked.add("a")
    wishes.accepted(["a"], {"a": event})
    wishes.refused["a"] = event
    wishes.want(["a"], period)
    assert wishes.refused == {}
    wishes.asked.add("a")
    wishes.accepted(["a"], {"a": event})  # the reply to the old one comes late
    assert wishes.due({"a"}) == {"a": period}
    wishes.want(["a"], Wish("none", ()))
    assert wishes.due({"a"}) == {}
    assert wishes.wishes == {}


def test_a_sensor_that_is_replaced_while_it_is_set_is_set_again() -> None:
    wishes = SamplingWishes()
    event = Wish("event", ())
    for happen in (lambda: wishes.sensors_gone(["a"]), wishes.connection_lost):
        wishes.want(["a"], event)
        wishes.asked.add("a")
        happen()
        wishes.accepted(["a"], {"a": event})  # by which of the two sensors, nobody knows
        assert wishes.due({"a"}) == {"a": event}
