"""What is wrong with a file, and where: ``FILE:LINE:COLUMN: what (hint)``, a line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Problems told of at most; a file with more has one cause.
MOST_PROBLEMS = 50

#: Longest piece of a file that is repeated in a text [characters].
_LONGEST_QUOTE = 60


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file, from 1."""

    line: int
    column: int


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes
    ----------
    place : Place
    text : str
        One line.
    """

    place: Place
    text: str


class DeviceFileError(Exception):
    """A device file that cannot be used.

    Attributes
    ----------
    path : str
        As it was given.
    problems : list of Problem
        All of them, in the order of the file.
    """

    def __init__(self, path: str, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = sorted(set(problems))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return a line for each problem: ``FILE:LINE:COLUMN: text``."""
        name = quotable(self.path)
        shown = [
            f"{name}:{p.place.line}:{p.place.column}: {p.text}"
            for p in self.problems[:MOST_PROBLEMS]
        ]
        more = len(self.problems) - MOST_PROBLEMS
        if more > 0:
            last = self.problems[-1].place
            shown.append(f"{name}:{last.line}:{last.column}: and {more} more")
        return shown


class Problems:
    """Collects problems, so that all are told at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, place: Place, text: str) -> None:
        """Take note of a problem; control characters in the text are made visible."""
        self.found.append(Problem(place, quotable(text)))

    def __bool__(self) -> bool:
        return bool(self.found)


def quotable(text: str) -> str:
    """Return `text` with what is not printable written as in Python."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def quoted(text: object) -> str:
    """Return a piece of a file in quotation marks, cut if it is long."""
    piece = str(text)
    if len(piece) > _LONGEST_QUOTE:
        piece = piece[: _LONGEST_QUOTE - 1] + "…"
    return f"'{quotable(piece)}'"


def or_list(words: Iterable[str]) -> str:
    """Return ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def missing_blank(item: str) -> str:
    """Return a hint for ``-name``, which is meant to be an item of a list."""
    right = f"- {item[1:]}"
    return f"; a blank is missing after the dash: {quoted(right)}, not {quoted(item)}"


def hint(
    word: str, known: Iterable[str], others: Mapping[str, str] | None = None, sigil: str = ""
) -> str:
    """Return `` (did you mean 'x'?)`` if a known word is like `word`, else nothing.

    Parameters
    ----------
    word : str
        What stands in the file.
    known : iterable of str
        What may stand there.
    others : mapping, optional
        What people write who know other formats -> what it is called here.
    sigil : str
        Comes before the word that is proposed.
    """
    names = list(known)
    low = word.lower()
    guess = (others or {}).get(low)
    if guess not in names:
        close = difflib.get_close_matches(low[:100], [n.lower() for n in names[:5000]], 1, 0.7)
        guess = next((n for n in names if n.lower() == close[0]), None) if close else None
    return "" if guess is None else f" (did you mean {quoted(sigil + guess)}?)"
