"""Device files that something has happened to; the same ones each time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SEEDS = (EXAMPLES / "weather.yaml", EXAMPLES / "weather.toml", EXAMPLES / "store.yaml")

#: Pieces that mean something to a reader of YAML or TOML, or to somebody who wants to break one.
PIECES = [
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\r",
    b"\t",
    b"\x1b[31m",
    b"\xe2\x80\xa8",
    b"{",
    b"}",
    b"[",
    b"]",
    b": ",
    b"- ",
    b"'",
    b'"',
    b'"""',
    b"#",
    b"&a ",
    b"*a",
    b"*b",
    b"<<: *a",
    b"!!python/name:os.system ",
    b"!!binary x",
    b"| ",
    b"> ",
    b"---\n",
    b"...",
    b"%YAML 9\n",
    b"? ",
    b"~",
    b"null",
    b"true",
    b"1e999",
    b".nan",
    b"-0",
    b"9" * 5000,
    b"0x",
    b"1..9",
    b"9..1",
    b"1..999999999",
    b"$n",
    b"$zz",
    b"${",
    b"$$",
    b"[[x]]",
    b"a.b = 1",
    b"(",
    b"(a+)+$",
    b"\\",
    b"x" * 20000,
    b"[" * 200,
    b"{a: " * 200,
]


def mutants(count: int, seed: int = 8) -> Iterator[tuple[str, bytes]]:
    """Yield endings of names and contents of files."""
    chance = random.Random(seed)
    contents = [(path.suffix, path.read_bytes()) for path in SEEDS]
    for _ in range(count):
        suffix, text = chance.choice(contents)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            text = chance.choice(WAYS)(text, chance)
        yield suffix, text


def _byte(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]


def _piece(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(PIECES) + text[at:]


def _cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _gap(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + text[at + chance.randrange(1, 40) :]


def _line_moves(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randrange(len(lines) + 1), line)
    return b"".join(lines)


def _line_twice(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return b"".join(lines)


def _indent(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    at = chance.randrange(len(lines))
    lines[at] = b"  " + lines[at] if chance.random() < 0.5 else lines[at][2:]
    return b"".join(lines)


def _word(text: bytes, chance: random.Random) -> bytes:
    """Put another word of the file, or a piece, in the place of a word."""
    words = list(re.finditer(rb"[\w.$-]+", text))
    if not words:
        return text
    old, new = chance.choice(words), chance.choice(words)[0]
    if chance.random() < 0.3:
        new = chance.choice(PIECES)
    return text[: old.start()] + new + text[old.end() :]


def _misspelt(text: bytes, chance: random.Random) -> bytes:
    words = list(re.finditer(rb"[a-z]{4,}", text))
    if not words:
        return text
    word = chance.choice(words)
    at = chance.randrange(word.start(), word.end() - 1)
    return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


WAYS = (_byte, _piece, _cut, _gap, _line_moves, _line_twice, _indent, _word, _word, _misspelt)
