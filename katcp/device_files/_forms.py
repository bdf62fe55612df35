"""What may stand in a file: forms that read nodes, and that write the JSON Schema of themselves.

One set of forms is both the check and the published schema, so the two agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from katcp.device_files._problems import Place, Problems, hint, or_list, quoted
from katcp.device_files._tree import Node, Scalar, Sequence, Table

#: What a form returns for a node that it has complained of.
BAD: Any = object()


def _or_template(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also takes the variable of a template, which a `for` replaces."""
    return {"anyOf": [schema, VARIABLE.schema()]}


_KINDS = {"value": "a single value", "list": "a list", "table": "a table"}


class Form:
    """One kind of thing that may stand in a file."""

    #: What it is, for "…, not a list".
    label = ""

    def read(self, node: Node, problems: Problems) -> Any:
        """Return what a node stands for, or `BAD` after a complaint."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        raise NotImplementedError

    def takes(self, node: Node) -> bool:
        """Tell whether a node is of the kind that this form reads."""
        return isinstance(node, Scalar)

    def refuse(self, node: Node, problems: Problems) -> Any:
        """Complain of a node of another kind."""
        what = _KINDS[node.kind]
        if isinstance(node, Scalar):
            what = "nothing" if node.value is None and not node.text else quoted(node.text)
        problems.add(node.place, f"this has to be {self.label}, not {what}")
        return BAD


@dataclass(frozen=True)
class Text(Form):
    """Text; numbers and switches count as what they look like.

    Attributes
    ----------
    pattern : str, optional
        All of it has to match.
    label : str
    """

    pattern: str | None = None
    label: str = "text"
    longest: int = 10_000

    def read(self, node: Node, problems: Problems) -> Any:
        """Return the text as it stands in the file."""
        if not isinstance(node, Scalar) or (node.value is None and node.text in ("", "~")):
            return self.refuse(node, problems)
        if len(node.text) > self.longest or "\0" in node.text:
            problems.add(node.place, f"text of at most {self.longest} characters, without NUL")
            return BAD
        if self.pattern is not None and re.fullmatch(self.pattern, node.text, re.ASCII) is None:
            return self.refuse(node, problems)
        return node.text

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        if self.pattern is None:
            return {"type": ["string", "number", "boolean"], "maxLength": self.longest}
        return {"type": ["string", "number", "boolean"], "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class Expression(Form):
    """A regular expression as Python has them."""

    label: str = "a regular expression"

    def read(self, node: Node, problems: Problems) -> Any:
        """Return the text, which compiles."""
        if not isinstance(node, Scalar) or node.value is None:
            return self.refuse(node, problems)
        try:
            re.compile(node.text)
        except (re.error, OverflowError, RecursionError) as error:
            problems.add(node.place, f"not a regular expression: {error}")
            return BAD
        return node.text

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": ["string", "number", "boolean"], "format": "regex"}


@dataclass(frozen=True)
class Number(Form):
    """A number.

    Attributes
    ----------
    low, high : float
        Least and greatest.
    above : float, optional
        It has to be greater than this.
    whole : bool
        Whether it is an integer.
    """

    low: float = -math.inf
    high: float = math.inf
    above: float | None = None
    whole: bool = False

    @property
    def label(self) -> str:  # type: ignore[override]
        """What it is."""
        what = "a whole number" if self.whole else "a number"
        if self.above is not None:
            what += f" above {self.above:g}"
        if self.low > -math.inf and self.high < math.inf:
            return f"{what} from {self.low:g} to {self.high:g}"
        if self.high < math.inf:
            return f"{what} up to {self.high:g}"
        return f"{what} from {self.low:g}" if self.low > -math.inf else what

    def read(self, node: Node, problems: Problems) -> Any:
        """Return the number."""
        value = node.value if isinstance(node, Scalar) else None
        kinds = (int,) if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return self.refuse(node, problems)
        try:
            good = math.isfinite(value) and self.low <= value <= self.high
        except OverflowError:  # an integer beyond all floats
            good = False
        if not good or (self.above is not None and value <= self.above):
            return self.refuse(node, problems)
        return value

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        schema: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        if self.low > -math.inf:
            schema["minimum"] = self.low
        if self.high < math.inf:
            schema["maximum"] = self.high
        if self.above is not None:
            schema["exclusiveMinimum"] = self.above
        return _or_template(schema)


@dataclass(frozen=True)
class Switch(Form):
    """True or false."""

    label: str = "true or false"

    def read(self, node: Node, problems: Problems) -> Any:
        """Return it."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        return self.refuse(node, problems)

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return _or_template({"type": "boolean"})


@dataclass(frozen=True)
class Word(Form):
    """One of a few words.

    Attributes
    ----------
    words : tuple of str
    others : mapping
        What people may write -> the word for it here, for hints.
    """

    words: tuple[str, ...]
    others: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> str:  # type: ignore[override]
        """What it is."""
        return or_list(self.words)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return the word."""
        if not isinstance(node, Scalar):
            return self.refuse(node, problems)
        if node.text not in self.words:
            guess = hint(node.text, self.words, self.others)
            problems.add(node.place, f"this has to be {self.label}, not {quoted(node.text)}{guess}")
            return BAD
        return node.text

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return _or_template({"enum": list(self.words)})


@dataclass(frozen=True)
class Value(Form):
    """A value of a sensor or argument, whose type is said elsewhere; returned as its node."""

    label: str = "a value"

    def read(self, node: Node, problems: Problems) -> Any:
        """Return the node."""
        if not isinstance(node, Scalar) or (node.value is None and not node.text):
            return self.refuse(node, problems)
        return node

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": ["string", "number", "boolean", "null"]}


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
class Defined(Form):
    """A form that the schema has once, by a name, and refers to.

    Attributes
    ----------
    name : str
    form : Form
    """

    name: str
    form: Form

    @property
    def label(self) -> str:  # type: ignore[override]
        """What it is."""
        return self.form.label

    def takes(self, node: Node) -> bool:
        """Tell whether the form does."""
        return self.form.takes(node)

    def read(self, node: Node, problems: Problems) -> Any:
        """Return what the form makes of it."""
        return self.form.read(node, problems)

    def schema(self) -> dict[str, Any]:
        """Return a reference to its JSON Schema."""
        return {"$ref": f"#/$defs/{self.name}"}


#: The variable of a template, which stands where a number or a word is wanted.
VARIABLE = Defined("variable", Text(pattern=r".*\$.*"))


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
