"""YAML as a tree of nodes.

It is built from the events of the parser, which run no code whatever the file says, by a loop
with limits: neither deep nesting nor aliases of aliases can use up stack or memory.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from katcp.device_files._problems import Place, missing_blank, quoted
from katcp.device_files._tree import (
    MAX_DEPTH,
    MAX_NODES,
    Entry,
    FileError,
    Node,
    Scalar,
    Sequence,
    Table,
    plain,
)

# The parser in C is ten times as fast. (Its composer, which is not used, recurses without limit.)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: The key that brings in the entries of other tables.
_MERGE = "<<"


def parse_yaml(text: str) -> Node:
    """Return the tree of a YAML text.

    Raises
    ------
    FileError
        If it is none, or is built in a way that no device file needs.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        raise FileError(_place_at(text, error.position), "a character that YAML forbids") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        what = error.problem or error.context or "an error"
        slip = _slip(text, place.line)
        if slip is not None:
            place, hint = slip
            what = f"{what}{hint}"
        raise FileError(place, f"not YAML: {what}") from error
    except yaml.YAMLError as error:
        raise FileError(Place(1, 1), f"not YAML: {error}") from error
    return builder.result()


#: A dash that is meant to begin an item of a list, and begins a name.
_DASH = re.compile(r"[ \t]*-(?=[A-Za-z_])[\w\-]+[ \t]*:(?:[ \t]|$)")


def _slip(text: str, line: int) -> tuple[Place, str] | None:
    """Return where a blank is missing after a dash, and a hint; if that is what broke the text."""
    for number, content in list(enumerate(text.splitlines()[:line], 1))[-3:]:
        if _DASH.match(content):
            column = content.index("-") + 1
            return Place(number, column), missing_blank(content.strip())
    return None


def _place_at(text: str, position: int) -> Place:
    before = text[: max(0, position)]
    return Place(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


class _Open:
    """A list or table that is not at its end yet."""

    def __init__(self, event: Any) -> None:
        self.place = _place(event)
        self.anchor: str | None = event.anchor
        self.is_table = isinstance(event, yaml.MappingStartEvent)
        self.nodes: list[Node] = []
        self.size = 1


class _Builder:
    """Makes the tree of the events."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node | None, int]] = {}
        self._root: Node | None = None
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event."""
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise FileError(_place(event), "a second document; a file describes one device")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._no_tag(event)
            node = (
                plain(_place(event), event.value)
                if event.implicit[0]
                else Scalar(_place(event), event.value, event.value)
            )
            self._done(node, event.anchor, 1)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._no_tag(event)
            if len(self._open) >= MAX_DEPTH:
                raise FileError(_place(event), f"more than {MAX_DEPTH} levels of nesting")
            self._open.append(_Open(event))
            if event.anchor is not None:
                self._anchors[event.anchor] = (None, 0)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            done = self._open.pop()
            made = self._table(done) if done.is_table else Sequence(done.place, tuple(done.nodes))
            self._done(made, done.anchor, done.size)

    def _no_tag(self, event: Any) -> None:
        if event.tag is not None:
            raise FileError(_place(event), f"a tag, {quoted(event.tag)}; none are used here")

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise FileError(_place(event), f"alias of {quoted(event.anchor)}, which is nothing")
        node, size = self._anchors[event.anchor]
        if node is None:
            raise FileError(_place(event), f"{quoted(event.anchor)} contains itself")
        self._done(node, None, size)

    def _done(self, node: Node, anchor: str | None, size: int) -> None:
        """Put a node where it belongs."""
        if anchor is not None:
            self._anchors[anchor] = (node, size)
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.nodes.append(node)
        parent.size += size
        if parent.size > MAX_NODES:
            raise FileError(node.place, f"more than {MAX_NODES} values, counting aliases")

    def _table(self, done: _Open) -> Table:
        entries: dict[str, Entry] = {}
        merged: list[Entry] = []
        pairs = iter(done.nodes)
        for key, node in zip(pairs, pairs, strict=True):
            if not isinstance(key, Scalar):
                raise FileError(key.place, "a key that is no text")
            if key.text == _MERGE:
                merged.extend(_merged(node))
                continue
            if key.text in entries:
                first = entries[key.text].place
                if key.text.startswith("-"):
                    raise FileError(first, f"not a list{missing_blank(key.text)}")
                raise FileError(
                    key.place, f"{quoted(key.text)} is here twice, first in line {first.line}"
                )
            entries[key.text] = Entry(key.text, key.place, node)
        for entry in merged:  # they come last, and do not replace anything
            entries.setdefault(entry.name, entry)
        return Table(done.place, tuple(entries.values()))

    def result(self) -> Node:
        """Return the tree."""
        return Table(Place(1, 1), ()) if self._root is None else self._root


def _merged(node: Node) -> list[Entry]:
    tables = node.items if isinstance(node, Sequence) else (node,)
    entries: list[Entry] = []
    for table in tables:
        if not isinstance(table, Table):
            raise FileError(node.place, "'<<' takes a table, or a list of tables")
        entries.extend(table.entries)
    return entries
