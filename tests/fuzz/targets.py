"""The targets by name, each with where its seeds come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import _core, _ends, _formulas, corpus

Case = Callable[[bytes], None]


class Entry(NamedTuple):
    """A target.

    Attributes
    ----------
    make : callable
        Returns the function that tries a case; it may have a method ``close``.
    seeds : callable
        Returns its seeds.
    """

    make: Callable[[], Case]
    seeds: Callable[[], list[bytes]]


TARGETS = {
    "framing": Entry(lambda: _core.framing, corpus.framing),
    "message": Entry(lambda: _core.message, corpus.message),
    "types": Entry(lambda: _core.types, corpus.types),
    "expressions": Entry(lambda: _formulas.expressions, corpus.expressions),
    "server": Entry(_ends.Server, corpus.server),
    "client": Entry(_ends.Client, corpus.client),
    "inspecting": Entry(_ends.Inspecting, corpus.inspecting),
}
