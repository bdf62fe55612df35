import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.kattypes import Bool, Float, Int, Lru, decode_float, decode_integer

# The grammar of KATCP numbers, apart from the code that reads them.
INTEGER = re.compile(rb"[+-]?[0-9]+")
FLOAT = re.compile(
    rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?(?:nan|inf(?:inity)?)",
    re.IGNORECASE,
)
NUMBER_LIKE = st.text("0123456789+-.eE_ \t\n\x0b\x0c\r\0xnainfty", max_size=8).map(str.encode)


@given(st.integers())
def test_int_round_trip(number):
    assert Int().unpack(Int().pack(number)) == number
    assert Int().decoder(5)(Int().encoder(5)(number)) == number


@given(st.floats())
def test_float_round_trip(number):
    for back in (
        Float().unpack(Float().pack(number)),
        Float().decoder(5)(Float().encoder(5)(number)),
    ):
        assert repr(back) == repr(number)  # which tells -0.0 from 0.0, and finds nan equal


@given(st.binary(max_size=6) | NUMBER_LIKE)
@example(b"")
@example(b"-")
@example(b"+-1")
@example(b"1_0")
@example(b" 1")
@example(b"1\n")
@example("٣".encode())
def test_w17_only_decimal_integers_are_read(raw):
    if INTEGER.fullmatch(raw):
        assert decode_integer(raw) == int(raw)
    else:
        with pytest.raises(ValueError, match=r"^Could not parse value .* as integer\.$"):
            decode_integer(raw)


@given(st.binary(max_size=6) | NUMBER_LIKE)
@example(b"")
@example(b"1_0")
@example(b"1.5 ")
@example(b"\t1.5")
@example(b"1.5\n")
@example(b"0x1p3")
@example(b"-Infinity")
@example(b"+nan")
@example(b"1.")
@example(b".5e-3")
def test_w17_only_decimal_floats_are_read(raw):
    if FLOAT.fullmatch(raw):
        number, expected = decode_float(raw), float(raw)
        assert number == expected or math.isnan(expected)
    else:
        with pytest.raises(ValueError, match=r"^Could not parse value .* as float\.$"):
            decode_float(raw)


@pytest.mark.parametrize("raw", [b"1_000", b" 1", b"1 ", b"1\n", b"", b"1_0.5"])
def test_w17_types_refuse_what_only_python_takes(raw):
    for kattype in (Int(), Float(), Int(min=0), Float(min=0)):
        with pytest.raises(ValueError, match="Could not parse value"):
            kattype.unpack(raw)
        with pytest.raises(ValueError, match="Could not parse value"):
            kattype.decoder(5)(raw)


def test_w16_texts_show_bytes_literals():
    with pytest.raises(ValueError) as int_error:
        Int().unpack(b"3.0")
    assert str(int_error.value) == "Could not parse value 'b'3.0'' as integer."
    with pytest.raises(ValueError) as float_error:
        Float().unpack(b"two")
    assert str(float_error.value) == "Could not parse value 'b'two'' as float."
    with pytest.raises(ValueError) as bool_error:
        Bool().unpack(b"yes")
    assert str(bool_error.value) == "Boolean value must be b'0' or b'1' but is 'b'yes''."


def test_more_digits_than_python_converts_are_an_ordinary_error():
    assert decode_integer(b"9" * 400) == 10**400 - 1
    with pytest.raises(ValueError, match=r"^Could not parse value"):
        decode_integer(b"1" * 100_000)


def test_int_range():
    kattype = Int(min=1, max=5)
    assert [kattype.unpack(b"1"), kattype.decoder(5)(b"5")] == [1, 5]
    for refuse, value in ((kattype.unpack, b"6"), (kattype.decoder(5), b"6"), (kattype.pack, 6)):
        with pytest.raises(ValueError, match=r"^Integer 6 is higher than maximum 5\.$"):
            refuse(value)
    for refuse, value in ((kattype.unpack, b"0"), (kattype.encoder(5), 0), (kattype.pack, 0)):
        with pytest.raises(ValueError, match=r"^Integer 0 is lower than minimum 1\.$"):
            refuse(value)
    assert kattype.pack(6, nocheck=True) == b"6"


def test_float_range():
    kattype = Float(min=0, max=1.5)
    assert kattype.unpack(b"1.5") == 1.5
    assert kattype.decoder(5)(b"0") == 0.0
    for refuse, value in ((kattype.unpack, b"2"), (kattype.decoder(5), b"2"), (kattype.pack, 2.0)):
        with pytest.raises(ValueError, match=r"^Float 2 is higher than maximum 1.5\.$"):
            refuse(value)
    with pytest.raises(ValueError, match=r"^Float -1 is lower than minimum 0\.$"):
        kattype.encoder(5)(-1.0)


def test_int_packs_numbers_and_no_text():
    assert Int().pack(3.9) == b"3"
    assert Int().pack(True) == b"1"
    assert Int().pack(-546) == b"-546"
    for value in ("3", b"3", (3,)):
        with pytest.raises(TypeError):
            Int().pack(value)


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (1.7, b"1.7"),
        (5, b"5.0"),
        (1e-7, b"1e-07"),
        (-0.0, b"-0.0"),
        (float("nan"), b"nan"),
        (float("-inf"), b"-inf"),
    ],
)
def test_float_wire_form(value, wire):
    assert Float().pack(value) == wire


def test_float_refuses_text():
    with pytest.raises(ValueError):
        Float().pack("x")


def test_subclasses_are_not_read_the_short_way():
    class Doubled(Int):
        def decode(self, value, major):
            return 2 * super().decode(value, major)

        def encode(self, value, major):
            return super().encode(value // 2, major)

    class Halved(Float):
        def decode(self, value, major):
            return super().decode(value, major) / 2

        def encode(self, value, major):
            return super().encode(value * 2, major)

    assert Doubled().decoder(5)(b"4") == 8
    assert Doubled().encoder(5)(8) == b"4"
    assert Halved().decoder(5)(b"4") == 2.0
    assert Halved().encoder(5)(2.0) == b"4.0"


def test_bool():
    assert Bool().unpack(b"1") is True
    assert Bool().decoder(5)(b"0") is False
    assert [Bool().pack(value) for value in (True, False, "x", [], 2)] == [
        b"1",
        b"0",
        b"1",
        b"0",
        b"1",
    ]
    for raw in (b"true", b"", b"01"):
        with pytest.raises(ValueError, match="Boolean value must be"):
            Bool().unpack(raw)


def test_lru():
    assert Lru().unpack(b"nominal") == Lru.LRU_NOMINAL == 0
    assert Lru().unpack(b"error") == Lru.LRU_ERROR == 1
    assert Lru().pack(Lru.LRU_ERROR) == b"error"
    assert Lru.LRU_VALUES == {0: b"nominal", 1: b"error"}
    assert Lru.LRU_CONSTANTS == {b"nominal": 0, b"error": 1}
    with pytest.raises(ValueError, match="but is 'b'bad''"):
        Lru().unpack(b"bad")
    with pytest.raises(ValueError, match="but is '2'"):
        Lru().pack(2)


def test_descriptions():
    assert Int().describe() == "integer"
    assert Int(min=1, max=5).describe() == "integer(1..5)"
    assert Int(min=0).describe() == "integer(>=0)"
    assert Float(max=1.5).describe() == "float(<=1.5)"


@pytest.mark.parametrize("bounds", [{"min": 0.0}, {"max": 1.0}, {"min": 0.0, "max": 1.0}])
def test_nan_is_in_no_range(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="nan is not in the allowed range"):
        Float(**bounds).unpack(b"nan")
    assert math.isnan(Float().unpack(b"nan"))
