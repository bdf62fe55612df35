"""What requests take, read from the line that help texts have of it.

Devices of this package write ``Parameters: x: integer(1..5), [mode: discrete(off|on)]`` below the
help of requests that are typed by annotations. It comes through proxies too.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

_ITEM = re.compile(
    r"(?P<name>[A-Za-z_]\w*): (?P<type>[A-Za-z][\w-]*)(?:\((?P<detail>.*)\))?"
    r"(?P<many>\.\.\.)?(?: = (?P<default>.*))?",
    re.DOTALL,
)
_BORDER = re.compile(r", (?=\[?[A-Za-z_]\w*: )")
_RANGE = re.compile(r"(?P<low>[-+\w.]+?)\.\.(?P<high>[-+\w.]+)|>=(?P<least>.+)|<=(?P<most>.+)")
_LINE = re.compile(r"^Parameters: (.+)\Z", re.MULTILINE)
#: Longest line that is read: whoever writes more is up to something.
_LONGEST = 20_000


@dataclass(frozen=True)
class Parameter:
    """One argument of a request.

    Attributes
    ----------
    name : str
    type : str
        ``integer``, ``float``, ``boolean``, ``discrete``, ``string``, ``timestamp``, ...
    optional : bool
        Whether it may be left out.
    many : bool
        Whether any number of such arguments may follow.
    default : str or None
        What is taken if it is left out, as on the wire.
    choices : tuple of str
        The words allowed; empty: any.
    minimum, maximum : str or None
        Bounds of a number, as text.
    """

    name: str
    type: str
    optional: bool = False
    many: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()
    minimum: str | None = None
    maximum: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def usage_in(help_text: str) -> str | None:
    """Return the line of parameters at the end of a help text; None if there is none."""
    match = _LINE.search(help_text.rstrip())
    return None if match is None else match[1]


def parse_usage(usage: str) -> list[Parameter] | None:
    """Return the parameters that such a line tells of; None if it cannot be read.

    Examples
    --------
    >>> [p.name for p in parse_usage("x: integer(1..5), [unit: string]")]
    ['x', 'unit']
    """
    if not usage:
        return []
    if len(usage) > _LONGEST:
        return None
    parameters = []
    for item in _split(usage):
        optional = item.startswith("[") and item.endswith("]")
        match = _ITEM.fullmatch(item[1:-1] if optional else item)
        if match is None:
            return None
        parameters.append(_parameter(match, optional))
    return parameters


def _split(usage: str) -> list[str]:
    """Split at the commas between parameters, not at those inside of parentheses."""
    items = []
    start = 0
    for border in _BORDER.finditer(usage):
        item = usage[start : border.start()]
        if item.count("(") == item.count(")"):
            items.append(item)
            start = border.end()
    items.append(usage[start:])
    return items


def _parameter(match: re.Match[str], optional: bool) -> Parameter:
    kind, detail = match["type"], match["detail"]
    choices: tuple[str, ...] = ()
    minimum = maximum = None
    if detail and kind == "discrete":
        choices = tuple(detail.split("|"))
    elif detail and (found := _RANGE.fullmatch(detail)):
        minimum = found["low"] or found["least"]
        maximum = found["high"] or found["most"]
    return Parameter(
        match["name"],
        kind,
        optional or match["default"] is not None,
        match["many"] is not None,
        match["default"],
        choices,
        minimum,
        maximum,
    )
