import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.kattypes import Bytes, Regex, Str, Struct

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT)
def test_str_round_trip(text):
    assert Str().unpack(Str().pack(text)) == text
    assert Str().decoder(5)(Str().encoder(5)(text)) == text


@given(st.binary())
def test_bytes_round_trip(raw):
    assert Bytes().unpack(Bytes().pack(raw)) == raw
    assert Bytes().decoder(5)(Bytes().encoder(5)(raw)) == raw


def test_str_packs_any_object():
    for pack in (Str().pack, Str().encoder(5)):
        assert pack("été") == b"\xc3\xa9t\xc3\xa9"
        assert pack(b"\xff raw") == b"\xff raw"
        assert pack(1.5) == b"1.5"
        assert pack(["x"]) == b"['x']"


def test_str_of_none_is_a_missing_value():
    with pytest.raises(TypeError, match="missing"):
        Str().encoder(5)(None)


def test_str_refuses_other_bytes_and_text():
    with pytest.raises(ValueError, match="utf-8"):
        Str().unpack(b"\xff")
    with pytest.raises(AttributeError):
        Str().unpack("text")


def test_text_that_cannot_be_encoded_is_logged(caplog):
    assert Str().pack("a\ud800b") == b"a?b"
    assert "Error encoding" in caplog.text


def test_subclass_of_str_is_not_read_the_short_way():
    class Shout(Str):
        def decode(self, value, major):
            return super().decode(value, major).upper()

        def encode(self, value, major):
            return super().encode(value, major).lower()

    assert Shout().decoder(5)(b"a") == "A"
    assert Shout().encoder(5)("A") == b"a"


def test_bytes_takes_text_and_buffers_but_no_numbers():
    assert Bytes().pack("é") == b"\xc3\xa9"
    assert Bytes().pack(bytearray(b"x")) == b"x"
    with pytest.raises(TypeError, match="Bytes are needed"):
        Bytes().pack(3)


def test_regex_texts():
    with pytest.raises(ValueError) as error:
        Regex("[0-9]+:[0-9]+").unpack(b"noon")
    assert str(error.value) == ("Value 'noon' does not match regex '[0-9]+:[0-9]+' with flags 'U'.")
    with pytest.raises(ValueError, match="with flags 'I,U'"):
        Regex(re.compile("[a-f]", re.IGNORECASE)).pack("X")


def test_regex_takes_text_bytes_and_patterns():
    assert Regex(b"[a-z]+").unpack(b"abc") == "abc"
    assert Regex("[A-Z]+").pack("ABC") == b"ABC"
    assert Regex(re.compile("[a-z]", re.IGNORECASE)).pack(b"Q") == b"Q"
    assert Regex("[a-z]+").decoder(5)(b"abc") == "abc"
    assert Regex("[a-z]+").describe() == "regex([a-z]+)"
    with pytest.raises(re.error):
        Regex("(")


def test_w18_regex_checks_the_beginning_only():
    assert Regex("[0-9]+").unpack(b"12 o'clock") == "12 o'clock"
    with pytest.raises(ValueError, match="does not match"):
        Regex("[0-9]+$").unpack(b"12 o'clock")


@given(st.integers(0, 2**32 - 1), st.binary(min_size=3, max_size=3))
def test_struct_round_trip(number, raw):
    assert Struct(">I3s").unpack(Struct(">I3s").pack((number, raw))) == (number, raw)


def test_struct_errors_are_value_errors():
    kattype = Struct(">II")
    with pytest.raises(ValueError, match="Could not unpack"):
        kattype.unpack(b"123")
    for value in ((1,), ("a", "b"), 5):
        with pytest.raises(ValueError, match="Could not pack"):
            kattype.pack(value)
    assert kattype.describe() == "struct(>II)"
