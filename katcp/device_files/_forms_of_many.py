"""Forms of lists and tables: what holds things of other forms, and what is read from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from katcp.device_files._forms import BAD, Form, Number
from katcp.device_files._problems import Place, Problems, hint, missing_blank, or_list, quoted
from katcp.device_files._tree import Node, Sequence, Table


@dataclass(frozen=True)
class ListOf(Form):
    """A list of things of one form."""

    item: Form
    least: int = 0
    most: int = 10_000

    @property
    def label(self) -> str:  # type: ignore[override]
        """What it is."""
        return "a list" if not self.least else f"a list of at least {self.least}"

    def takes(self, node: Node) -> bool:
        """Tell whether it is a list."""
        return isinstance(node, Sequence)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return a list; items that are bad are left out, after a complaint."""
        if not isinstance(node, Sequence):
            if isinstance(node, Table) and node.entries and node.entries[0].name.startswith("-"):
                first = node.entries[0]
                problems.add(first.place, f"this has to be {self.label}{missing_blank(first.name)}")
                return BAD
            return self.refuse(node, problems)
        if not self.least <= len(node.items) <= self.most:
            wanted = f"at least {self.least}" if len(node.items) < self.least else "at most"
            if len(node.items) > self.most:
                wanted += f" {self.most}"
            problems.add(node.place, f"{wanted} of these are needed, not {len(node.items)}")
            return BAD
        found = [self.item.read(item, problems) for item in node.items]
        return [item for item in found if item is not BAD]

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        schema: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if self.least:
            schema["minItems"] = self.least
        schema["maxItems"] = self.most
        return schema


@dataclass(frozen=True)
class Pair(Form):
    """Least and greatest of a range."""

    label: str = "a list of two numbers, [LOWEST, HIGHEST]"

    def takes(self, node: Node) -> bool:
        """Tell whether it is a list."""
        return isinstance(node, Sequence)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return a tuple of the two."""
        if not isinstance(node, Sequence) or len(node.items) != 2:
            return self.refuse(node, problems)
        low, high = (Number().read(item, problems) for item in node.items)
        if low is BAD or high is BAD:
            return BAD
        if low > high:
            problems.add(node.place, f"the lowest, {low:g}, is above the highest, {high:g}")
            return BAD
        return low, high

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "array", "items": Number().schema(), "minItems": 2, "maxItems": 2}


@dataclass(frozen=True)
class Either(Form):
    """One of several forms, by the kind of node: a value, a list or a table."""

    forms: tuple[Form, ...]

    @property
    def label(self) -> str:  # type: ignore[override]
        """What it is."""
        return or_list([form.label for form in self.forms])

    def takes(self, node: Node) -> bool:
        """Tell whether one of them does."""
        return any(form.takes(node) for form in self.forms)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return what the form that takes the node makes of it."""
        for form in self.forms:
            if form.takes(node):
                return form.read(node, problems)
        return self.refuse(node, problems)

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"anyOf": [form.schema() for form in self.forms]}


@dataclass(frozen=True)
class Field:
    """A key of a table.

    Attributes
    ----------
    form : Form
    text : str
        What it is, for schema and documentation.
    needed : bool
    default : object
        For documentation and for those who read it.
    """

    form: Form
    text: str
    needed: bool = False
    default: Any = None


class Fields(dict[str, Any]):
    """What a table says: key -> value, for the keys that are there, and where they stand."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.place = table.place
        self.places = {entry.name: entry.place for entry in table.entries}
        self.nodes = {entry.name: entry.node for entry in table.entries}

    def at(self, name: str) -> Place:
        """Return where the value of a key stands, or else the table."""
        node = self.nodes.get(name)
        return self.place if node is None else node.place

    def is_bad(self, name: str) -> bool:
        """Tell whether a key has been complained of, so that nothing follows from its absence."""
        return name in self.nodes and name not in self


@dataclass(frozen=True)
class Group(Form):
    """A table with known keys.

    Attributes
    ----------
    fields : mapping
        Key -> what it is.
    others : mapping
        What people may write -> the key for it here, for hints.
    exactly_one : bool
        Whether just one of the keys has to be there.
    """

    fields: Mapping[str, Field] = field(hash=False)
    others: Mapping[str, str] = field(default_factory=dict, hash=False)
    exactly_one: bool = False
    label: str = "a table"

    def takes(self, node: Node) -> bool:
        """Tell whether it is a table."""
        return isinstance(node, Table)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return its `Fields` without those that are bad; `BAD` if one is that it needs."""
        if not isinstance(node, Table):
            return self.refuse(node, problems)
        fields = Fields(node)
        bad = False
        for entry in node.entries:
            known = self.fields.get(entry.name)
            if known is None:
                self._unknown(entry.name, entry.place, problems)
                bad = bad or self.exactly_one
                continue
            value = known.form.read(entry.node, problems)
            if value is BAD:
                bad = bad or known.needed or self.exactly_one
            else:
                fields[entry.name] = value
        there = fields.nodes.keys() & self.fields.keys()
        for name, known in self.fields.items():
            if known.needed and name not in there:
                problems.add(node.place, f"{quoted(name)} is missing here: {known.text}")
                bad = True
        if self.exactly_one and not bad and len(there) != 1:
            problems.add(node.place, f"one of these is needed: {or_list(self.fields)}")
            bad = True
        return BAD if bad else fields

    def _unknown(self, name: str, place: Place, problems: Problems) -> None:
        guess = hint(name, self.fields, self.others)
        if not guess:
            guess = f"; there are {', '.join(self.fields)}"
        problems.add(place, f"unknown key {quoted(name)}{guess}")

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        properties = {}
        for name, known in self.fields.items():
            properties[name] = {"description": known.text, **known.form.schema()}
            if known.default is not None:
                properties[name]["default"] = known.default
        schema: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        needed = [name for name, known in self.fields.items() if known.needed]
        if needed:
            schema["required"] = needed
        if self.exactly_one:
            schema.update(minProperties=1, maxProperties=1)
        return schema


@dataclass(frozen=True)
class Named(Form):
    """A table whose keys are names that the file gives.

    Attributes
    ----------
    item : Form
    pattern : str
        What a name has to match.
    name_label : str
        What a name is.
    check_name : callable, optional
        Called with a name; returns what is wrong, or None.
    """

    item: Form
    pattern: str = r".+"
    name_label: str = "a name"
    check_name: Callable[[str], str | None] | None = field(default=None, hash=False)
    label: str = "a table"

    def takes(self, node: Node) -> bool:
        """Tell whether it is a table."""
        return isinstance(node, Table)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return name -> value as `Fields`; what is bad is left out, after a complaint."""
        if not isinstance(node, Table):
            return self.refuse(node, problems)
        fields = Fields(node)
        for entry in node.entries:
            if re.fullmatch(self.pattern, entry.name, re.ASCII) is None:
                problems.add(entry.place, f"{quoted(entry.name)} cannot be {self.name_label}")
                continue
            wrong = self.check_name(entry.name) if self.check_name is not None else None
            if wrong is not None:
                problems.add(entry.place, wrong)
                continue
            value = self.item.read(entry.node, problems)
            if value is not BAD:
                fields[entry.name] = value
        return fields

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {
            "type": "object",
            "patternProperties": {f"^(?:{self.pattern})$": self.item.schema()},
            "additionalProperties": False,
        }
