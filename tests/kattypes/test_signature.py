import asyncio
import enum
import functools
import inspect
from typing import Annotated, Any, Literal
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado import gen

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import (
    Discrete,
    Float,
    Int,
    Message,
    Str,
    Timestamp,
    TypedSignature,
    request,
    return_reply,
)

from . import signatures_as_strings


class Mode(enum.Enum):
    STAND_BY = 1
    ON = 2


class Device:
    async def request_add(self, req, x: int, y: int = 0) -> int:
        """Add two integers."""
        return x + y

    def request_nothing(self, req) -> None:
        """Do nothing."""

    def request_several(self, req, label: str, *values: float) -> tuple[float, ...]:
        """Return what came."""
        return values

    def request_rich(
        self,
        req,
        mode: Mode,
        switch: Literal["on", "off"] = "off",
        count: Annotated[int, Int(min=1, max=5)] = 3,
        when: Timestamp | None = None,
    ) -> tuple[Mode, int]:
        """Take all sorts."""
        return mode, count

    def request_untyped(self, req, x: int):
        """Return anything."""
        return x


def both(signature, arguments, major=5):
    values = signature.unpack(arguments, major)
    assert values == signature.unpacker(major)(arguments)
    return values


def test_arguments():
    add = TypedSignature.of(Device.request_add)
    assert both(add, [b"1", b"2"]) == [1, 2]
    assert both(add, [b"1"]) == [1, 0]
    for arguments, text in (
        ([], "Error in parameter 1 (x): No value or default given"),
        ([b"1", b"two"], "Error in parameter 2 (y): Could not parse value 'b'two'' as integer."),
        ([b"1", b"2", b"3"], "Too many parameters given."),
    ):
        with pytest.raises(FailReply) as error:
            add.unpack(arguments, 5)
        assert str(error.value) == text


def test_results():
    add = TypedSignature.of(Device.request_add)
    assert add.pack(3, 5) == [b"3"]
    assert add.reply_arguments(3, 5) == add.replier(5)(3) == [b"ok", b"3"]
    assert add.pack(("ok", 4), 5) == [b"4"]
    assert add.pack(Message.reply("add", "ok", "x"), 5) == [b"x"]
    with pytest.raises(FailReply, match=r"^too large$"):
        add.pack(("fail", "too large"), 5)
    with pytest.raises(InvalidReply, match=r"^what$"):
        add.pack(("invalid", "what"), 5)
    with pytest.raises(FailReply, match=r"^No reason given\.$"):
        add.pack(Message.reply("add"), 5)
    with pytest.raises(ValueError, match=r"^Device.request_add\(\) returned 'x': "):
        add.pack("x", 5)


def test_no_parameters():
    nothing = TypedSignature.of(Device.request_nothing)
    assert both(nothing, []) == []
    assert nothing.pack(None, 5) == []
    with pytest.raises(FailReply, match=r"^Too many parameters given\.$"):
        nothing.unpack([b"1"], 5)


def test_values_without_number():
    several = TypedSignature.of(Device.request_several)
    assert both(several, [b"a"]) == ["a"]
    assert both(several, [b"a", b"1", b"2"]) == ["a", 1.0, 2.0]
    with pytest.raises(FailReply, match=r"^Error in parameter 3 \(values\): "):
        several.unpack([b"a", b"1", b"x"], 5)
    assert several.pack((1.0, 2), 5) == [b"1.0", b"2.0"]


def test_rich_types():
    rich = TypedSignature.of(Device.request_rich)
    assert both(rich, [b"stand-by"]) == [Mode.STAND_BY, "off", 3, None]
    assert both(rich, [b"on", b"on", b"5", b"12.5"]) == [Mode.ON, "on", 5, 12.5]
    assert both(rich, [b"on", b"on", b"5", b"12500"], major=4) == [Mode.ON, "on", 5, 12.5]
    with pytest.raises(FailReply, match=r"parameter 3 \(count\): Integer 6 is higher"):
        rich.unpack([b"on", b"on", b"6"], 5)
    assert rich.pack((Mode.STAND_BY, 2), 5) == [b"stand-by", b"2"]


def test_results_without_annotation():
    untyped = TypedSignature.of(Device.request_untyped)
    assert untyped.pack(None, 5) == []
    assert untyped.pack((1, "a"), 5) == [b"1", b"a"]


@given(st.lists(st.binary(max_size=5), max_size=5))
def test_any_arguments_are_values_or_a_fail_reply(arguments):
    rich = TypedSignature.of(Device.request_rich)
    try:
        values = rich.unpack(arguments, 5)
    except FailReply as error:
        text = str(error)
    else:
        assert len(values) == 4
        return
    assert text.startswith(("Error in parameter ", "Too many parameters given."))


@given(st.integers(), st.floats(allow_nan=False), st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip(x, y, text):
    def echo(self, req, x: int, y: float, text: str) -> tuple[int, float, str]:
        return x, y, text

    signature = TypedSignature.of(echo)
    assert signature.unpack(signature.pack((x, y, text), 5), 5) == [x, y, text]


def test_usage():
    assert TypedSignature.of(Device.request_add).usage == "x: integer, y: integer = 0"
    assert TypedSignature.of(Device.request_nothing).usage == ""
    assert TypedSignature.of(Device.request_several).usage == "label: string, [values: float...]"
    assert TypedSignature.of(Device.request_rich).usage == (
        "mode: discrete(stand-by|on), switch: discrete(on|off) = off, "
        "count: integer(1..5) = 3, [when: timestamp]"
    )

    def of_types(self, req, a: Int(default=7), b: Mode = Mode.ON, c: int = "odd"):
        """Use instances."""

    assert TypedSignature.of(of_types).usage == (
        "a: integer = 7, b: discrete(stand-by|on) = on, c: integer = odd"
    )


def test_returns():
    def optional(self, req) -> int | None:
        """Return something or nothing."""

    def pair(self, req) -> tuple[int, str | None]:
        """Return one or two."""

    assert TypedSignature.of(Device.request_add).returns == "integer"
    assert TypedSignature.of(Device.request_nothing).returns == ""
    assert TypedSignature.of(Device.request_several).returns == "[float...]"
    assert TypedSignature.of(optional).returns == "[integer]"
    assert TypedSignature.of(pair).returns == "integer, [string]"
    assert repr(TypedSignature.of(Device.request_add)) == (
        "<TypedSignature Device.request_add(x: integer, y: integer = 0) -> (integer)>"
    )


# ── classic handlers ────────────────────────────────────────────────────────────────────────────


class Classic:
    def plain(self, req, msg):
        """Take the message."""

    def any_name(self, req, anything):
        """Take the message."""

    def annotated(self, req: Any, msg: Message) -> Message:
        return msg

    def anything(self, req, msg: Any):
        """Take the message."""

    def with_options(self, req, msg, timeout=5, *, force=False, **more):
        """Take the message, and options if called by hand."""

    def with_annotated_options(self, req, message: Message, timeout: float = 5):
        """Take the message, and an option if called by hand."""

    def swallow(self, *args, **kwargs):
        """Take anything."""

    def swallow_behind_req(self, req, *args):
        """Take anything."""

    @request(Int(), Str())
    def decorated(self, req, x, y):
        """Unpack by decorator."""

    @return_reply(Int())
    @request(Int(), Str())
    def request_decorated(self, req, x: int, y: str):
        """Unpack by decorator, inside of another."""

    @gen.coroutine
    def coroutine(self, req, msg):
        """Take the message."""

    async def async_plain(self, req, msg):
        """Take the message."""


@pytest.mark.parametrize("name", [name for name in vars(Classic) if not name.startswith("__")])
def test_classic_handlers_have_no_signature(name):
    assert TypedSignature.of(vars(Classic)[name]) is None
    assert TypedSignature.of(getattr(Classic(), name)) is None


@pytest.mark.parametrize("function", [mock.Mock(), mock.MagicMock(), max, lambda *args: args])
def test_callables_that_take_anything_are_classic(function):
    assert TypedSignature.of(function) is None


# ── typed handlers in other guises ──────────────────────────────────────────────────────────────


def test_one_annotated_parameter_is_an_argument():
    def handler(self, req, msg: str):
        """Take text that happens to be called so."""

    assert TypedSignature.of(handler).unpack([b"a"], 5) == ["a"]


def test_bound_methods_and_other_leading_parameters():
    assert TypedSignature.of(Device().request_add).unpack([b"1"], 5) == [1, 0]

    def without_self(req, x: int) -> int:
        return x

    assert TypedSignature.of(without_self, leading=1).unpack([b"1"], 5) == [1]


def test_decorators_in_between_are_seen_through():
    def log_calls(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @log_calls
    @gen.coroutine
    def handler(self, req, x: int) -> Float:
        yield gen.moment

    assert TypedSignature.of(handler).unpack([b"1"], 5) == [1]
    assert TypedSignature.of(handler).pack(1, 5) == [b"1.0"]


async def test_a_whole_call():
    signature = TypedSignature.of(Device.request_add)
    assert inspect.iscoroutinefunction(Device.request_add)
    result = await Device().request_add(None, *signature.unpack([b"1", b"2"], 5))
    assert signature.reply_arguments(result, 5) == [b"ok", b"3"]


async def test_return_reply_below_typed_parameters():
    @return_reply(Float())
    async def request_half(self, req, x: int):
        await asyncio.sleep(0)
        return ("ok", x / 2)

    signature = TypedSignature.of(request_half)
    message = await request_half(None, None, *signature.unpack([b"3"], 5))
    assert signature.reply_arguments(message, 5) == [b"ok", b"1.5"]


def test_strings_as_annotations():
    device = signatures_as_strings.Device
    add = TypedSignature.of(device.request_add)
    assert add.unpack([b"1", b"2"], 5) == [1, 2]
    assert add.pack(3, 5) == [b"3"]
    with pytest.raises(FailReply, match="lower than minimum 0"):
        add.unpack([b"1", b"-1"], 5)
    mode = TypedSignature.of(device.request_mode)
    assert mode.unpack([b"stand-by"], 5) == [signatures_as_strings.Mode.STAND_BY]
    assert mode.pack(None, 5) == []
    assert TypedSignature.of(device.request_classic) is None
    assert TypedSignature.of(device.request_alias) is None
    assert TypedSignature.of(device.request_decorated) is None
    assert TypedSignature.of(device.request_ready).pack(("a", 1), 5) == [b"a", b"1"]


def test_names_of_the_class_have_to_be_handed_in():
    device = signatures_as_strings.Device
    with pytest.raises(
        TypeError, match=r"request_inner\(\): parameter 'inner': the annotation 'Inner'"
    ):
        TypedSignature.of(device.request_inner)
    signature = TypedSignature.of(device.request_inner, namespace=vars(device))
    assert signature.unpack([b"a"], 5) == [device.Inner.A]
    with pytest.raises(
        TypeError, match=r"request_unknown\(\): parameter 'x': the annotation 'Nowhere'"
    ):
        TypedSignature.of(device.request_unknown)


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────


class Mistakes:
    def keyword_only(self, req, x: int, *, y: int = 0):
        """Have a parameter for keywords only."""

    def keywords(self, req, x: int, **y: int):
        """Take keywords."""

    def keywords_alone(self, req, **y):
        """Take keywords."""

    def half(self, req, x: int, y):
        """Lack an annotation."""

    def none(self, req, y, x):
        """Lack annotations."""

    def none_with_default(self, req, y, x=0):
        """Lack annotations, though only one argument is needed."""

    def message_and_more(self, req, y: Message, x: int):
        """Take the message and arguments."""

    def no_type(self, req, y: complex):
        """Have an annotation without a type."""

    def no_type_among_several(self, req, x: int, *y: dict):
        """Have an annotation without a type."""

    def several(self, req, y: Int(multiple=True)):
        """Take several without an asterisk."""


@pytest.mark.parametrize("name", [name for name in vars(Mistakes) if not name.startswith("__")])
def test_mistakes_are_told_with_function_and_parameter(name):
    with pytest.raises(TypeError, match=rf"^Mistakes\.{name}\(\): parameter 'y'[ :]"):
        TypedSignature.of(vars(Mistakes)[name])


def test_too_few_parameters():
    def handler(self):
        """Take no request."""

    def keyword_request(self, *, req):
        """Take it by keyword."""

    for function in (handler, keyword_request):
        with pytest.raises(TypeError, match="takes 2 parameters before its arguments"):
            TypedSignature.of(function)


def test_return_annotation_without_a_type():
    def handler(self, req, x: int) -> complex:
        """Return what has no type."""

    with pytest.raises(TypeError, match=r"handler\(\): what it returns: complex is not"):
        TypedSignature.of(handler)


def test_discrete_type_as_annotation_keeps_its_options():
    def handler(self, req, x: Discrete(["a"], case_insensitive=True)):
        """Take a word."""

    assert TypedSignature.of(handler).unpack([b"A"], 5) == ["A"]
