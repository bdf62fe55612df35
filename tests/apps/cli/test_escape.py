"""Nothing that a device says reaches a terminal as a command."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._escape import decode, to_json, visible, visible_lines


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain text", "plain text"),
        (b"", ""),
        ("20 °C, µ and 中".encode(), "20 °C, µ and 中"),
        (b"\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        (b"a\r\nb\tc\x00\x08\x7f", r"a\r\nb\tc\x00\x08\x7f"),
        ("\x9b31m\x85".encode(), r"\x9b31m\x85"),  # C1 controls, as UTF-8
        (b"\x9b31m\xff", r"\x9b31m\xff"),  # and as bytes that are no UTF-8
        ("\u202eevil\u2028\ufeff".encode(), r"\u202eevil\u2028\ufeff"),
        ("\U000e0001".encode(), r"\U000e0001"),
        (b"back\\slash", "back\\slash"),
    ],
)
def test_visible(raw: bytes, shown: str) -> None:
    assert visible(raw) == shown


@given(st.binary())
def test_any_bytes_only_print(raw: bytes) -> None:
    text = visible(raw)
    assert text.isprintable()
    assert all(line.isprintable() for line in visible_lines(raw))


@given(st.text())
def test_any_text_only_prints(text: str) -> None:
    assert visible(text).isprintable()


def test_lines_of_a_text_that_has_several() -> None:
    assert visible_lines(b"one\r\ntwo\x1b\n\nfour") == ["one", r"two\x1b", "", "four"]


@given(st.binary(), st.text())
def test_json_is_ascii_that_prints_and_parses(raw: bytes, text: str) -> None:
    line = to_json({"raw": raw, "text": text, "list": [raw, None, True]})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"raw": decode(raw), "text": text, "list": [decode(raw), None, True]}


@given(st.floats())
def test_json_of_any_float_parses(number: float) -> None:
    parsed = json.loads(to_json({"x": number}), parse_constant=pytest.fail)
    assert parsed["x"] == number or parsed["x"] in ("nan", "inf", "-inf")


def test_json_of_bytes_that_are_no_utf8() -> None:
    assert to_json([b"a\xff\x1b\x7f"]) == '["a\\\\xff\\u001b\\u007f"]'
