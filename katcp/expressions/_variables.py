"""What stands in the braces of an expression."""

from __future__ import annotations

import re
from collections.abc import Iterable

from katcp.expressions import _nodes
from katcp.expressions._nodes import Node

#: Names of the one value, as ``{value}``; ``{}`` and ``{0}`` are others.
ONE_VALUE = ("value", "raw")

_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)


class Variables:
    """The names that an expression may use, and those that it does.

    Parameters
    ----------
    names : iterable of str or None
        ``("value", "raw")``: they, ``{}`` and ``{0}`` are one value. Others: each is a value of its
        own. None: any name of letters, digits, ``_``, ``-`` and dots between.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self.names = None if names is None else tuple(names)
        self.one_value = self.names == ONE_VALUE
        self.used: dict[str, None] = {}
        for name in self.names or ():
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} cannot be the name of a value in expressions.")

    def has(self, name: str) -> bool:
        """Whether there is a value of this name."""
        return _NAME.fullmatch(name) is not None if self.names is None else name in self.names

    def use(self, inside: str) -> Node:
        """Return the part that braces stand for.

        Raises
        ------
        ValueError
            If they stand for none; the text says why.
        """
        if self.one_value and inside in ("", "0", *ONE_VALUE):
            self.used["value"] = None
            return _nodes.THE_VALUE
        if not self.one_value and self.has(inside):
            self.used[inside] = None
            return _nodes.variable(inside)
        raise ValueError(self._why_not(inside))

    def _why_not(self, inside: str) -> str:
        braces = f"{{{inside[:40]}}}"
        if self.one_value:
            if inside.isdigit():
                return f"{braces} is not allowed: there is but one value, {{}}"
            if any(sign in inside for sign in ".[!:"):
                return (
                    f"{braces} is not allowed: neither attributes, subscripts, conversions nor "
                    f"formats are"
                )
            return f"{braces} is no value; it is written {{}}, {{0}}, {{value}} or {{raw}}"
        if self.names is None:
            return f"{braces} is not the name of a value"
        known = ", ".join(f"{{{name}}}" for name in self.names[:20]) or "none"
        return f"there is no value {braces} (there are {known})"
