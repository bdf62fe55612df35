"""Expressions have the values, or raise the errors, that they have in katcp-python 0.9.3."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from tests.surface import statements

RECORDED: dict[str, dict[str, str]] = json.loads(
    pathlib.Path(__file__).with_name("answers-0.9.3.json").read_text(encoding="utf-8")
)

#: What differs on purpose: expression -> (what we answer, reason).
DIFFERENT: dict[str, tuple[dict[str, str], str]] = {
    'did(Sensor.discrete("x", params=["a", "b"]), "set_value", b"b").value()': (
        {"is": "'b'"},
        "a word may be given as bytes, as everywhere else",
    ),
    'Discrete(["on", "off"]).pack(b"on")': ({"is": "b'on'"}, "a word may be given as bytes"),
    'AsyncState(["a", "b"], "c")': (
        {"raises": "ValueError"},
        "as set_state(), not an AssertionError",
    ),
    'pack_types([Int(multiple=True), Str()], [1, "a", "b"], 5)': (
        {"raises": "TypeError"},
        "types that cannot be are refused in the same words when packing and unpacking",
    ),
    'unpack_types([Int(multiple=True), Str()], [b"1", b"2"], ["n"], 5)': (
        {"raises": "TypeError"},
        "types that cannot be are refused in the same words when packing and unpacking",
    ),
    'bytes(make_reply("x", [Int()], ("ok", 1), 5))': (
        {"is": "b'!x ok 1'"},
        "types may be a list, too",
    ),
    'bytes(make_reply("x", [Int()], ["ok", 1], 5))': (
        {"is": "b'!x ok 1'"},
        "types may be a list, too",
    ),
    'make_reply("x", [Int()], ("ok",), 5)': ({"raises": "ValueError"}, "types may be a list, too"),
    'make_reply("x", [Int()], ("ok", 1, 2), 5)': (
        {"raises": "ValueError"},
        "types may be a list, too",
    ),
}
ANSWERS = statements.answers()


def _as_recorded(answer: list[str]) -> dict[str, Any]:
    return {"is": answer[0]} if len(answer) == 1 else {"raises": answer[0]}


def test_all_statements_are_recorded() -> None:
    assert set(RECORDED) == set(statements.statements())
    assert set(DIFFERENT) <= set(RECORDED)


@pytest.mark.parametrize("statement", statements.statements())
def test_statement(statement: str) -> None:
    expected, reason = DIFFERENT.get(statement, (RECORDED[statement], ""))
    assert _as_recorded(ANSWERS[statement]) == expected, reason
    if statement in DIFFERENT:
        assert RECORDED[statement] != expected, "no longer different"
