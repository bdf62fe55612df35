"""Keyword arguments of endpoints: which there are, and which was meant."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable


def option_names(kind: type) -> tuple[str, ...]:
    """Return the names of the keyword arguments of a class of endpoints, base classes' included."""
    names: dict[str, None] = {}
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        if base is object or not inspect.isfunction(init):
            continue
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names[parameter.name] = None
    return tuple(names)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that was probably meant by `word`."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return found[0] if found else None


def refuse_unknown(kind: type, unknown: Iterable[str]) -> None:
    """Raise `TypeError` for keyword arguments that a class does not have, if there are any."""
    for word in unknown:
        known = option_names(kind)
        meant = nearest(word, known)
        hint = f"did you mean {meant!r}?" if meant else f"it has {', '.join(sorted(known))}"
        raise TypeError(f"{kind.__name__} has no option {word!r}: {hint}")
