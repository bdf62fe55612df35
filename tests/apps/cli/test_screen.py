"""Printing, in colour and without."""

import io

import pytest

from katcp.apps.cli._format import Piece
from katcp.apps.cli._screen import Screen, wants_colour

LINE = [Piece("a.b", "name"), Piece("  "), Piece("[bold]x[/] :smile:", "warn"), Piece("   ")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_plain() -> None:
    out = io.StringIO()
    Screen(out=out).line(LINE)
    assert out.getvalue() == "a.b  [bold]x[/] :smile:\n"


def test_colour_changes_nothing_but_colour() -> None:
    out = Terminal()
    Screen(out=out).line(LINE)
    text = out.getvalue()
    assert "\x1b[1ma.b\x1b[0m" in text
    assert "\x1b[33m[bold]x[/] :smile:\x1b[0m" in text
    assert text.endswith("\n")


def test_long_line_is_left_to_the_terminal_to_wrap() -> None:
    out = Terminal()
    Screen(out=out).line([Piece("x" * 500)])
    assert out.getvalue() == "x" * 500 + "\n"


def test_record() -> None:
    out = Terminal()
    Screen(json=True, out=out).record({"a": b"\x1b", "b": float("nan")})
    assert out.getvalue() == '{"a": "\\u001b", "b": "nan"}\n'


def test_who_wants_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_colour(Terminal())
