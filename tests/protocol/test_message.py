"""Message: making, comparing, writing (the names and rules that katcp-python's users know)."""

from __future__ import annotations

import copy
import decimal
import fractions
from typing import Any

import pytest
from future.types.newbytes import newbytes
from future.types.newstr import newstr
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.errors import KatcpSyntaxError
from katcp.protocol import (
    Message,
    MessageParser,
    encode_utf8_with_error_log,
    format_argument,
    format_mid,
)

names = st.from_regex(r"\A[a-zA-Z][a-zA-Z0-9\-]{0,20}\Z")
mids = st.none() | st.integers(0, 10**20 - 1).map(lambda n: b"%d" % n) | st.just(b"007")
messages = st.builds(
    Message, st.sampled_from([0, 1, 2]), names, st.lists(st.binary(max_size=30), max_size=5), mids
)


# -- types -------------------------------------------------------------------------------


def test_types_have_their_numbers_names_and_symbols() -> None:
    assert (Message.REQUEST, Message.REPLY, Message.INFORM) == (0, 1, 2)
    assert Message.TYPE_NAMES == {0: "REQUEST", 1: "REPLY", 2: "INFORM"}
    assert Message.TYPE_SYMBOLS == {0: b"?", 1: b"!", 2: b"#"}
    assert Message.TYPE_SYMBOL_LOOKUP == {b"?": 0, b"!": 1, b"#": 2}


def test_return_codes_are_bytes() -> None:
    assert (Message.OK, Message.FAIL, Message.INVALID) == (b"ok", b"fail", b"invalid")


def test_escape_tables_are_public() -> None:
    assert Message.ESCAPE_LOOKUP[b"_"] == b" "
    assert Message.REVERSE_ESCAPE_LOOKUP[b"\x1b"] == b"e"
    assert Message.REVERSE_ESCAPE_LOOKUP[b""] == b"@"
    special = Message.ESCAPE_RE.findall(bytes(range(256)))
    assert {*special, b""} == set(Message.REVERSE_ESCAPE_LOOKUP)


@pytest.mark.parametrize("mtype", [3, -1, None, "?", b"?"])
def test_an_unknown_type_is_a_syntax_error(mtype: Any) -> None:
    with pytest.raises(KatcpSyntaxError, match="Invalid command type"):
        Message(mtype, "foo")


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A", "help", "sensor-list", "a-", "a9", "A1-b", "x" * 500])
def test_good_names(name: str) -> None:
    assert Message.request(name).name == name


@pytest.mark.parametrize(
    "name", ["", "1a", "-a", "a_b", "a.b", "a b", "a[1]", "a\n", "é", "watchdogé", "a\0", "\u0661"]
)
def test_w3_bad_names_are_syntax_errors_at_once(name: str) -> None:
    with pytest.raises(KatcpSyntaxError):
        Message.request(name)


def test_a_bad_name_is_a_value_error_too() -> None:
    with pytest.raises(ValueError):
        Message.request("no_such")


def test_w3_a_name_in_bytes_is_decoded() -> None:
    message = Message(Message.REQUEST, b"help")  # type: ignore[arg-type]
    assert message.name == "help"
    assert bytes(message) == b"?help"


@pytest.mark.parametrize("name", [None, 5, ["help"], object()])
def test_w3_a_name_of_another_kind_is_a_clear_type_error(name: Any) -> None:
    with pytest.raises(TypeError, match="Invalid type for string conversion"):
        Message(Message.REQUEST, name)


def test_w3_bytes_that_are_no_text_are_no_name() -> None:
    with pytest.raises(ValueError):
        Message(Message.REQUEST, b"\xff")  # type: ignore[arg-type]


def test_names_of_the_future_package_become_native() -> None:
    message = Message.request(newstr("help"), newbytes(b"arg"), newstr("text"))
    assert type(message.name) is str
    assert message.arguments == [b"arg", b"text"]
    assert [type(a) for a in message.arguments] == [bytes, bytes]


# -- arguments ---------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Raw(bytes):
    __slots__ = ()


class Whole(int):
    pass


class Speaking:
    def __str__(self) -> str:
        return "spoken"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, b"1"),
        (False, b"0"),
        (0, b"0"),
        (-546, b"-546"),
        (10**30, b"1" + b"0" * 30),
        (1.7, b"1.7"),
        (5.0, b"5.0"),
        (1e-07, b"1e-07"),
        (-0.0, b"-0.0"),
        (float("nan"), b"nan"),
        (float("inf"), b"inf"),
        (float("-inf"), b"-inf"),
        (b"\xff\x00", b"\xff\x00"),
        (b"", b""),
        ("", b""),
        ("café", "café".encode()),
        (None, b"None"),
        (Text("x y"), b"x y"),
        (Raw(b"raw"), b"raw"),
        (Whole(7), b"7"),
        (fractions.Fraction(1, 2), b"0.5"),
        (decimal.Decimal("1.50"), b"1.50"),
        (Speaking(), b"spoken"),
        ((1, 2), b"(1, 2)"),
        (1 + 2j, b"(1+2j)"),
    ],
)
def test_arguments_are_converted_by_their_kind(value: object, expected: bytes) -> None:
    result = format_argument(value)
    assert result == expected
    assert type(result) is bytes
    assert Message.inform("x", value).arguments == [expected]
    assert Message.inform("x").format_argument(value) == expected


def test_text_that_cannot_be_encoded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert encode_utf8_with_error_log("a\udc80b") == b"a?b"
    assert [(r.levelname, r.name) for r in caplog.records] == [("ERROR", "katcp.core")]
    assert format_argument("a\udc80b") == b"a?b"


def test_text_as_arguments_is_one_argument_a_character() -> None:
    assert Message(Message.REQUEST, "a", "xyz").arguments == [b"x", b"y", b"z"]


def test_no_arguments_is_an_empty_list_of_its_own() -> None:
    one, other = Message.request("a"), Message.request("a")
    one.arguments.append(b"x")
    assert other.arguments == []


@given(st.floats(allow_nan=False))
def test_floats_survive_the_trip_exactly(value: float) -> None:
    assert float(format_argument(value)) == value


# -- message ids -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mid", "expected"),
    [(7, b"7"), ("7", b"7"), (b"7", b"7"), (0, b"0"), ("007", b"007"), (10**20, b"1" + b"0" * 20)],
)
def test_a_message_id_is_kept_as_bytes(mid: Any, expected: bytes) -> None:
    message = Message.request("a", mid=mid)
    assert message.mid == expected
    assert message.has_mid()
    assert bytes(message) == b"?a[" + expected + b"]"


def test_no_message_id_is_none() -> None:
    message = Message.request("a")
    assert message.mid is None
    assert not message.has_mid()
    assert format_mid(None) is None


@pytest.mark.parametrize("mid", ["", b"", "a", "-1", -1, 1.5, "1 ", "\u0661", b"\xb2", [1]])
def test_a_message_id_that_is_not_digits_is_a_syntax_error(mid: Any) -> None:
    with pytest.raises(KatcpSyntaxError, match="Invalid message id"):
        Message.request("a", mid=mid)


# -- the object --------------------------------------------------------------------------


def test_only_four_attributes_can_be_set() -> None:
    message = Message.request("a", "b", mid=1)
    message.mtype, message.name, message.mid = Message.REPLY, "c", b"2"
    message.arguments = [b"d"]
    assert bytes(message) == b"!c[2] d"
    with pytest.raises(AttributeError):
        message.other = 1  # type: ignore[attr-defined]


def test_w1_a_copy_has_no_message_id() -> None:
    message = Message.request("a", "b", mid=7)
    duplicate = message.copy()
    assert duplicate == Message.request("a", "b")
    assert duplicate.mid is None
    duplicate.arguments.append(b"x")
    assert message.arguments == [b"b"]


def test_the_standard_copy_keeps_the_message_id() -> None:
    message = Message.request("a", "b", mid=7)
    assert copy.copy(message) == message
    assert copy.deepcopy(message) == message


def test_equality_is_of_all_four_attributes() -> None:
    message = Message.request("a", "b", mid=7)
    assert message == Message(0, "a", ["b"], 7)
    assert message != Message.reply("a", "b", mid=7)
    assert message != Message.request("x", "b", mid=7)
    assert message != Message.request("a", "c", mid=7)
    assert message != Message.request("a", "b", mid=8)
    assert message != Message.request("a", "b")


def test_other_types_may_decide_about_equality() -> None:
    class EqualsAll:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert Message.request("a") == EqualsAll()
    assert Message.request("a") != "?a"
    assert Message.request("a").__eq__("?a") is NotImplemented


def test_messages_cannot_be_hashed() -> None:
    with pytest.raises(TypeError):
        hash(Message.request("a"))


# -- constructors ------------------------------------------------------------------------


def test_one_constructor_a_type() -> None:
    assert Message.request("a", 1, mid=2) == Message(Message.REQUEST, "a", [1], 2)
    assert Message.reply("a", "ok", mid=2) == Message(Message.REPLY, "a", ["ok"], 2)
    assert Message.inform("a", b"x") == Message(Message.INFORM, "a", [b"x"])


@pytest.mark.parametrize("make", [Message.request, Message.reply, Message.inform])
def test_constructors_take_no_other_keyword(make: Any) -> None:
    with pytest.raises(TypeError):
        make("a", value=1)


def test_replies_and_their_informs_copy_name_and_id() -> None:
    request = Message.request("a", "b", mid="007")
    assert bytes(Message.reply_to_request(request, "ok", 1)) == b"!a[007] ok 1"
    assert bytes(Message.reply_inform(request, "x y")) == b"#a[007] x\\_y"
    assert bytes(Message.reply_to_request(Message.request("a"), "ok")) == b"!a ok"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Message.reply("a", "ok"), True),
        (Message.reply("a", "ok", "x"), True),
        (Message.reply("a", "fail", "x"), False),
        (Message.reply("a", "OK"), False),
        (Message.reply("a"), False),
        (Message.request("a", "ok"), False),
        (Message.inform("a", "ok"), False),
    ],
)
def test_w2_reply_ok_is_a_bool(message: Message, expected: bool) -> None:
    assert message.reply_ok() is expected


# -- the wire form -----------------------------------------------------------------------


def test_bytes_is_the_wire_form_without_end_of_line() -> None:
    assert bytes(Message.request("hello", "a b", "", mid=7)) == b"?hello[7] a\\_b \\@"
    assert bytes(Message.inform("x")) == b"#x"
    assert bytes(Message.reply("x", b"\\ \0\n\r\x1b\t")) == b"!x \\\\\\_\\0\\n\\r\\e\\t"


def test_format_args_is_the_arguments_of_the_wire_form() -> None:
    assert Message.request("a", "b c", "").format_args() == b"b\\_c \\@"
    assert Message.request("a").format_args() == b""


def test_str_is_the_wire_form_decoded() -> None:
    assert str(Message.request("a", "café au lait", mid=3)) == "?a[3] café\\_au\\_lait"


def test_w5_str_raises_for_what_is_not_utf_8_and_repr_does_not() -> None:
    message = Message.request("a", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        str(message)
    assert repr(message) == r"<Message request a (b'\xff')>"


def test_repr_shows_type_name_and_escaped_arguments_but_no_id() -> None:
    assert repr(Message.request("a", "x y", 1, mid=9)) == r"<Message request a (b'x\\_y', b'1')>"
    assert repr(Message.reply("a")) == "<Message reply a >"
    assert repr(Message.inform("log-it", b"")) == r"<Message inform log-it (b'\\@')>"


def test_repr_cuts_long_arguments_at_1000_bytes() -> None:
    assert repr(Message.request("a", b"x" * 1000)) == f"<Message request a (b'{'x' * 1000}')>"
    assert repr(Message.request("a", b"x" * 1001)) == f"<Message request a (b'{'x' * 1000}...')>"


@given(messages)
def test_every_message_round_trips(message: Message) -> None:
    wire = bytes(message)
    assert b"\n" not in wire
    assert MessageParser().parse(wire) == message
    assert bytes(MessageParser().parse(wire)) == wire


class _Own(Message):
    __slots__ = ()


@given(st.text(max_size=5), st.lists(st.integers() | st.text() | st.binary() | st.floats()))
@example("add", [1, "2", b"3", 4.5])
@example("", [])
def test_a_request_made_quickly_is_the_same(name: str, arguments: list[object]) -> None:
    def outcome(make: Any) -> Any:
        try:
            message = make()
        except KatcpSyntaxError as error:
            return str(error)
        return type(message.arguments), bytes(message), message.mid, message.mtype

    plain = outcome(lambda: Message(Message.REQUEST, name, arguments))
    assert outcome(lambda: Message.request(name, *arguments)) == plain
    assert outcome(lambda: _Own.request(name, *arguments)) == plain
    if not isinstance(plain, str):
        assert type(_Own.request(name)) is _Own
        assert type(Message.request(name)) is Message
