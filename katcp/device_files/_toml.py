"""TOML as a tree of nodes.

`tomllib` reads the values and judges the text, but does not tell where they stand. So the text,
which is known to be right by then, is walked once more for the places.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from katcp.device_files._problems import Place, quoted
from katcp.device_files._tree import MAX_DEPTH, Entry, FileError, Node, Scalar, Sequence, Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_WHERE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"

# Brackets, and what they do not count in: strings and comments.
_BRACKETS = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|\'{3}.*?\'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|#[^\n]*|[\[\]{}]''',
    re.DOTALL,
)

#: Where a key or a value begins: the names and numbers of the way to it.
_Places = dict[tuple[Any, ...], Place]


def parse_toml(text: str) -> Node:
    """Return the tree of a TOML text.

    Raises
    ------
    FileError
        If it is none.
    """
    text = text.replace("\r\n", "\n")
    # Nesting is by brackets and by dots in keys; `tomllib` recurses into the former.
    if _deepest_brackets(text) > MAX_DEPTH:
        raise FileError(Place(1, 1), f"more than {MAX_DEPTH} levels of nesting")
    try:
        loaded = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _WHERE.search(message)
        if found is not None:
            place = Place(int(found[1]), int(found[2]))
            message = message[: found.start()]
        else:
            place = Place(text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)
            message = message.removesuffix(_AT_END)
        raise FileError(place, f"not TOML: {message}") from error
    except (RecursionError, ValueError) as error:  # a date that there is not, endless digits
        raise FileError(Place(1, 1), f"not TOML: {error}") from error
    walker = _Walker(text)
    walker.document()
    return _node(loaded, (), walker.places, Place(1, 1), 0)


def _deepest_brackets(text: str) -> int:
    """Return how deep lists and inline tables are nested."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in ("]", "}"):
            depth = max(0, depth - 1)
    return deepest


def _node(value: Any, path: tuple[Any, ...], places: _Places, above: Place, depth: int) -> Node:
    place = places.get(path, above)
    if depth > MAX_DEPTH:
        raise FileError(place, f"more than {MAX_DEPTH} levels of nesting")
    if isinstance(value, dict):
        return Table(
            place,
            tuple(
                Entry(
                    name,
                    places.get(("key", *path, name), place),
                    _node(item, (*path, name), places, place, depth + 1),
                )
                for name, item in value.items()
            ),
        )
    if isinstance(value, list):
        return Sequence(
            place,
            tuple(
                _node(item, (*path, number), places, place, depth + 1)
                for number, item in enumerate(value)
            ),
        )
    if isinstance(value, bool):
        return Scalar(place, "true" if value else "false", value)
    if isinstance(value, (int, float, str)):
        try:
            return Scalar(place, str(value), value)
        except ValueError as error:  # more digits than Python writes
            raise FileError(place, "a number with too many digits") from error
    moment = value.isoformat()  # dates and times
    return Scalar(place, moment, moment)


class _Walker:
    """Finds where keys and values stand in a text that is right."""

    _BARE = re.compile(r"[A-Za-z0-9_-]+")
    _BLANK = re.compile(r"[ \t]*")
    _SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
    _REST = re.compile(r"[^,\]}\n#]*")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: _Places = {}
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._line = 0
        # Lists of tables, by path: how many there are.
        self._counts: dict[tuple[Any, ...], int] = {}

    def document(self) -> None:
        """Walk to the end."""
        table: tuple[Any, ...] = ()
        while True:
            self._skip(self._SPACE)
            if self.at >= len(self.text):
                return
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _here(self) -> Place:
        while self._line + 1 < len(self._starts) and self._starts[self._line + 1] <= self.at:
            self._line += 1
        return Place(self._line + 1, self.at - self._starts[self._line] + 1)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def _header(self) -> tuple[Any, ...]:
        many = self.text.startswith("[[", self.at)
        place = self._here()
        self.at += 2 if many else 1
        names = self._key()
        path: tuple[Any, ...] = ()
        for number, (name, where) in enumerate(names):
            self.places.setdefault(("key", *path, name), where)
            path = (*path, name)
            self.places.setdefault(path, place)
            last = number == len(names) - 1
            if last and many:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self.places.setdefault(path, place)
        self._skip(self._BLANK)
        self.at += 2 if many else 1
        return path

    def _key(self) -> list[tuple[str, Place]]:
        names = []
        while True:
            self._skip(self._BLANK)
            place = self._here()
            if self.text[self.at] in "\"'":
                begin = self.at
                self._string()
                (name,) = tomllib.loads("k = " + self.text[begin : self.at]).values()
            else:
                begin = self.at
                self._skip(self._BARE)
                name = self.text[begin : self.at]
                if not name:
                    raise FileError(place, f"no key: {quoted(self.text[begin : begin + 20])}")
            names.append((name, place))
            self._skip(self._BLANK)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def _pair(self, table: tuple[Any, ...]) -> None:
        path = table
        for name, place in self._key():
            self.places.setdefault(("key", *path, name), place)
            path = (*path, name)
            self.places.setdefault(path, place)
        self.at += 1  # the sign of equality
        self._skip(self._BLANK)
        self._value(path)

    def _value(self, path: tuple[Any, ...]) -> None:
        self.places[path] = self._here()
        start = self.text[self.at]
        if start in "\"'":
            self._string()
        elif start in "[{":
            self._collection(path, start == "[")
        else:
            self._skip(self._REST)

    def _collection(self, path: tuple[Any, ...], is_list: bool) -> None:
        self.at += 1
        number = 0
        while True:
            self._skip(self._SPACE)
            if self.text[self.at] in "]}":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                continue
            if is_list:
                self._value((*path, number))
                number += 1
            else:
                self._pair(path)

    def _string(self) -> None:
        quote = self.text[self.at]
        triple = self.text.startswith(quote * 3, self.at)
        end = quote * 3 if triple else quote
        self.at += len(end)
        while not self.text.startswith(end, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += len(end)
        while triple and self.text.startswith(quote, self.at):  # up to two before the end
            self.at += 1
