"""A file as a tree of nodes that know where they stand; the same for YAML and TOML."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from katcp.device_files._problems import Place, Problem

#: Deepest nesting taken.
MAX_DEPTH = 50
#: Most nodes, with what aliases stand for counted each time.
MAX_NODES = 500_000

_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}


class FileError(Exception):
    """A file that is no YAML or TOML; ends the reading."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.problem = Problem(place, text)


@dataclass(frozen=True)
class Scalar:
    """A value.

    Attributes
    ----------
    place : Place
    text : str
        As it stands in the file, without quotation marks.
    value : None, bool, int, float or str
    """

    place: Place
    text: str
    value: Any
    kind = "value"


@dataclass(frozen=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]
    kind = "list"


@dataclass(frozen=True)
class Entry:
    """A key of a table and what it stands for."""

    name: str
    place: Place
    node: Node


@dataclass(frozen=True)
class Table:
    """A table; no name comes twice."""

    place: Place
    entries: tuple[Entry, ...]
    kind = "table"

    def get(self, name: str) -> Node | None:
        """Return what a key stands for."""
        for entry in self.entries:
            if entry.name == name:
                return entry.node
        return None

    def without(self, name: str) -> Table:
        """Return the table without a key."""
        return replace(self, entries=tuple(e for e in self.entries if e.name != name))


Node = Scalar | Sequence | Table


def plain(place: Place, text: str) -> Scalar:
    """Return the node for text without quotation marks: a number if it looks like one, and so on.

    As in YAML 1.2, but that ``yes``, ``no``, ``on`` and ``off`` are switches too. Where a word is
    wanted, the text counts, so they can be words of a discrete sensor.
    """
    low = text.lower()
    if low in _SPECIAL:
        return Scalar(place, text, _SPECIAL[low])
    try:
        if _INTEGER.fullmatch(text):
            base = 0 if low[:2] in ("0x", "0o", "0b") else 10
            return Scalar(place, text, int(text, base))
        if _FLOAT.fullmatch(text):
            return Scalar(place, text, float(text))
    except ValueError:
        pass  # more digits than Python takes
    return Scalar(place, text, text)


def data(node: Node) -> Any:
    """Return what a node stands for as Python's own types, as a JSON Schema sees it."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [data(item) for item in node.items]
    return {entry.name: data(entry.node) for entry in node.entries}
