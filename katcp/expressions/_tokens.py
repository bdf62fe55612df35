"""The words of an expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from katcp.expressions._errors import ExpressionError

#: The most characters that an expression may have.
MAX_LENGTH = 1000


class Token(NamedTuple):
    """A word, and where it begins.

    `kind` is "number", "text", "variable" (whose `value` is what stands between the braces),
    "name", "operator" or "end".
    """

    kind: str
    value: Any
    position: int


_WORD = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
  | (?P<number>0[xX][0-9a-fA-F]+ | 0[bB][01]+ | 0[oO][0-7]+
              | (?: [0-9]+ \.? [0-9]* | \. [0-9]+ ) (?: [eE] [+-]? [0-9]+ )? )
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<variable>\{[^{}]*\})
  | (?P<text>'[^'\\\r\n]*(?:\\.[^'\\\r\n]*)*' | "[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*")
  | (?P<operator>\*\*|//|==|!=|<=|>=|[-+*/%<>(),])
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_WHY_NOT = {
    ".": "attributes are not allowed",
    "[": "lists and subscripts are not allowed",
    "]": "lists and subscripts are not allowed",
    "{": "a brace is not closed",
    "}": "a brace was not opened",
    "=": "neither assignments nor keyword arguments are allowed (to compare: ==)",
    ":": "':' is not allowed",
    "'": "a text is not closed",
    '"': "a text is not closed",
    "#": "comments are not allowed",
}


def tokens(text: str) -> Iterator[Token]:
    """Yield the words of an expression, and one of the kind "end" behind them.

    Raises
    ------
    ExpressionError
        For what is no word, and for a text that is too long.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the expression has more than {MAX_LENGTH} characters", text, MAX_LENGTH
        )
    position = 0
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            character = text[position]
            reason = _WHY_NOT.get(character, f"{character!r} is not allowed")
            raise ExpressionError(reason, text, position)
        kind = str(match.lastgroup)
        if kind != "blank":
            yield Token(kind, _meaning(kind, match, text), position)
        position = match.end()
    yield Token("end", "", position)


def _meaning(kind: str, match: re.Match[str], text: str) -> Any:
    word = match.group()
    following = text[match.end() : match.end() + 1]
    if kind == "number":
        if following.isalnum() or following in ("_", "."):
            if following == ".":
                raise ExpressionError(_WHY_NOT["."], text, match.end())
            raise ExpressionError(f"{word + following!r} is no number", text, match.start())
        return _number(word, text, match.start())
    if kind == "text":
        return _text(word[1:-1], text, match.start() + 1)
    if kind == "variable":
        return word[1:-1]
    if kind == "name" and following in ("'", '"'):
        raise ExpressionError(f"texts have no prefix such as {word!r}", text, match.start())
    return word


def _number(word: str, text: str, position: int) -> int | float:
    if word[:2].lower() in ("0x", "0b", "0o"):
        return int(word, 0)
    if not word.isdigit():
        return float(word)
    if word[0] == "0" and word.strip("0"):
        raise ExpressionError(f"{word!r} begins with a zero", text, position)
    return int(word)


def _text(inside: str, text: str, position: int) -> str:
    def meant(match: re.Match[str]) -> str:
        letters = match.group(1)
        if len(letters) > 1:
            return chr(int(letters[1:], 16))
        if letters not in _ESCAPES:
            raise ExpressionError(
                f"there is no escape \\{letters} in texts", text, position + match.start()
            )
        return _ESCAPES[letters]

    return _ESCAPE.sub(meant, inside)
