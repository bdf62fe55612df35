"""What may stand in a file: forms that read nodes, and that write the JSON Schema of themselves.

One set of forms is both the check and the published schema, so the two agree. Here are what a form
is and those of single values; lists and tables are in `_forms_of_many`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from katcp.device_files._problems import Problems, hint, or_list, quoted
from katcp.device_files._tree import Node, Scalar

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
