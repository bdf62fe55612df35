import asyncio
import enum
import ipaddress
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Sequence
from typing import Annotated, Any, Literal, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import Address, Int, KatcpType, Message, Str, Struct, Timestamp
from katcp.kattypes._results import Result, Shape
from katcp.protocol import escape


class Mode(enum.Enum):
    STAND_BY = 1
    ON = 2


class Verdict(enum.Enum):
    OK = 1
    BAD = 2


UNKNOWN = Result(Shape.UNKNOWN)


def reply(annotation, result, major=5):
    shape = annotation if isinstance(annotation, Result) else Result.of(annotation)
    return shape.compile("handler", major)(result)


@pytest.mark.parametrize(
    ("annotation", "result", "arguments"),
    [
        (int, 3, [b"3"]),
        (float, 3, [b"3.0"]),
        (bool, True, [b"1"]),
        (str, "ok", [b"ok"]),
        (bytes, b"fail", [b"fail"]),
        (Mode, Mode.STAND_BY, [b"stand-by"]),
        (Literal["ok", "bad"], "ok", [b"ok"]),
        (Timestamp, 1.5, [b"1.500000"]),
        (Annotated[int, Int(min=1)], 1, [b"1"]),
        (ipaddress.IPv6Address, ipaddress.IPv6Address("::1"), [b"[::1]"]),
        (int | None, 3, [b"3"]),
        (int | None, None, []),
        (int | Message, 3, [b"3"]),
        (None, None, []),
        (None, (), []),
        (Message | None, None, []),
        (NoReturn, None, []),
        (tuple[()], (), []),
        (tuple[int, str], (3, "a"), [b"3", b"a"]),
        (tuple[int, str], [3, "a"], [b"3", b"a"]),
        (tuple[int, str | None], (3, None), [b"3"]),
        (tuple[int, str | None], (3, "a"), [b"3", b"a"]),
        (tuple[int, str] | None, None, []),
        (tuple[int, str] | None, (3, "a"), [b"3", b"a"]),
        (tuple[float, ...], (1, 2.5), [b"1.0", b"2.5"]),
        (tuple[float, ...], (), []),
        (list[str], ["ok", "b"], [b"ok", b"b"]),
        (Sequence[int], range(3), [b"0", b"1", b"2"]),
        (Iterable[int], {4: "x"}, [b"4"]),
        (Address, ("host", 80), [b"host:80"]),
        (Address, ("ok", None), [b"ok"]),
        (Struct("2s"), (b"ok",), [b"ok"]),
        (Awaitable[int], 3, [b"3"]),
        (Coroutine[Any, Any, str], "x", [b"x"]),
        (Generator[Any, Any, tuple[int, int]], (1, 2), [b"1", b"2"]),
        (asyncio.Future, 3, [b"3"]),
        ("asyncio.Future[int]", 3, [b"3"]),
    ],
)
def test_values(annotation, result, arguments):
    if annotation == "asyncio.Future[int]":
        annotation = asyncio.Future[int]
    assert reply(annotation, result) == [b"ok", *arguments]


@pytest.mark.parametrize("annotation", [UNKNOWN, Any, object, tuple, list, Message])
@pytest.mark.parametrize(
    ("result", "arguments"),
    [
        (None, []),
        (3, [b"3"]),
        (1.5, [b"1.5"]),
        (True, [b"1"]),
        ("text", [b"text"]),
        ((1, "a", None), [b"1", b"a", b"None"]),
        ([1, 2], [b"1", b"2"]),
        ((), []),
        (Mode.ON, [b"on"]),
        ({"a": 1}, [b"{'a': 1}"]),
        ("ok", [b"ok"]),
        (("ok", 1, 2.5), [b"1", b"2.5"]),
        (["ok", 1], [b"1"]),
        ((b"ok",), []),
    ],
)
def test_values_without_annotation(annotation, result, arguments):
    assert reply(annotation, result) == [b"ok", *arguments]


@pytest.mark.parametrize(
    "annotation",
    [UNKNOWN, None, int, str, Timestamp, int | None, tuple[int, str], tuple[Mode, ...]],
)
def test_failures(annotation):
    assert reply(annotation, ("fail", "no good")) == [b"fail", b"no good"]
    assert reply(annotation, (b"invalid", "what?", 7)) == [b"invalid", b"what?", b"7"]
    assert reply(annotation, ("fail",)) == [b"fail", b"No reason given."]
    assert reply(annotation, FailReply("no")) == [b"fail", b"no"]
    assert reply(annotation, InvalidReply("no")) == [b"invalid", b"no"]


def test_values_behind_ok_may_end_early_where_they_are_optional():
    annotation = tuple[int, str | None]
    assert reply(annotation, ("ok", 1, "a")) == [b"ok", b"1", b"a"]
    assert reply(annotation, ("ok", 1)) == [b"ok", b"1"]
    with pytest.raises(ValueError, match=r"Too many arguments to pack\."):
        reply(annotation, ("ok", 1, "a", 2))


def test_values_behind_ok_go_by_the_annotation():
    assert reply(float, ("ok", 3)) == [b"ok", b"3.0"]
    assert reply(tuple[int, float], ("ok", 1, 2)) == [b"ok", b"1", b"2.0"]
    assert reply(int | None, ("ok",)) == [b"ok"]
    assert reply(None, ("ok", 1, "x")) == [b"ok", b"1", b"x"]
    for values in (("ok",), ("ok", 1, 2), ("ok", "x")):
        with pytest.raises((ValueError, TypeError)):
            reply(int, values)


def test_tuples_that_may_begin_with_a_status_are_values():
    assert reply(tuple[str, str], ("fail", "x")) == [b"ok", b"fail", b"x"]
    assert reply(tuple[str, ...], ("ok",)) == [b"ok", b"ok"]
    assert reply(tuple[Literal["ok", "bad"], int], ("ok", 1)) == [b"ok", b"ok", b"1"]
    assert reply(tuple[Verdict, int], (Verdict.OK, 1)) == [b"ok", b"ok", b"1"]
    # The members of this one are no such words, so a status is a status.
    assert reply(tuple[Mode, int], ("fail", "x")) == [b"fail", b"x"]
    assert reply(tuple[Literal["a"], int], ("ok", "a", 1)) == [b"ok", b"a", b"1"]


def test_types_of_users_might_have_text_for_values():
    class Reversed(KatcpType):
        def encode(self, value, major):
            return value[::-1].encode()

    assert reply(tuple[Reversed, int], ("fail", 1)) == [b"ok", b"liaf", b"1"]
    assert reply(Reversed, ("fail", "x")) == [b"fail", b"x"]


def test_ready_messages():
    message = Message.reply("x", "fail", "no")
    for annotation in (UNKNOWN, None, int, Message, tuple[str, ...]):
        assert reply(annotation, message) == [b"fail", b"no"]


def test_lists_are_no_replies_where_a_list_is_declared():
    assert reply(list[str], ["fail", "x"]) == [b"ok", b"fail", b"x"]
    assert reply(list[int], [1]) == [b"ok", b"1"]


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (int, "three"),
        (int, None),
        (int, [1]),
        (str, None),
        (None, 5),
        (Mode, "up"),
        (Annotated[int, Int(max=5)], 6),
        (tuple[int, str], 5),
        (tuple[int, str], (5,)),
        (tuple[int, str], (5, "a", 1)),
        (tuple[int, str], (5, None)),
        (tuple[str | None, int], (None, 5)),
        (tuple[float, ...], "12"),
        (tuple[float, ...], ("x",)),
        (list[int], 5),
    ],
)
def test_results_that_do_not_fit_are_mistakes_of_the_handler(annotation, result):
    with pytest.raises(ValueError, match=r"^handler\(\) returned "):
        reply(annotation, result)


def test_text_of_a_mistake():
    with pytest.raises(ValueError) as error:
        reply(Annotated[int, Int(max=5)], 6)
    assert str(error.value) == "handler() returned 6: Integer 6 is higher than maximum 5."


def test_versions():
    assert reply(Timestamp, 1.5, major=4) == [b"ok", b"1500"]
    assert reply(tuple[Timestamp, ...], (1.5,), major=4) == [b"ok", b"1500"]
    assert reply(tuple[Timestamp, Str | None], (1.5, None), major=4) == [b"ok", b"1500"]


@pytest.mark.parametrize("annotation", [dict[str, int], tuple[int, complex], list[dict], int | str])
def test_annotations_without_a_type(annotation):
    with pytest.raises(TypeError, match="is not the annotation of any KATCP type"):
        Result.of(annotation)


KINDS = (int, float, bool, str, bytes, None, int | None, str | None, Timestamp, Mode, list[int])


@given(
    st.sampled_from(KINDS),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.sampled_from(["ok", "fail", "", "a b", "\ud800", 10**5000, -(10**5000)]),
        st.binary(),
    ),
)
def test_the_end_of_a_line_is_what_the_arguments_make(annotation, result):
    ends = Result.of(annotation).line_ends(5)
    try:
        arguments = reply(annotation, result)
    except (ValueError, OverflowError):
        arguments = None
    if type(result) in ends and type(result) is not int:
        assert arguments is not None
    if type(result) in ends and arguments is not None:
        line = b"".join([b" " + escape(argument) for argument in arguments]) + b"\n"
        assert ends[type(result)](result) == line


def test_the_ends_of_lines_that_are_made_at_once():
    known = {kind: set(Result.of(kind).line_ends(5)) for kind in (int, float, bool, str, None)}
    assert known == {int: {int}, float: {float}, bool: {bool}, str: {str}, None: {type(None)}}
    assert not Result.of(Annotated[int, Int(min=1)]).line_ends(5)
    assert not Result.of(tuple[int, str]).line_ends(5)
    assert not UNKNOWN.line_ends(5)
