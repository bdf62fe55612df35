"""Regular expressions from clients, looked for in names at a bounded cost.

The engine of `re` tries one way after the other, and there are expressions for which the number
of ways grows exponentially with the name (``(a+)+$``): one request could keep everybody waiting
for years. So each expression is read first, by the reader that `re` has, and its steps are bounded
from above. It is looked for in a name only if that bound allows it for names of that length. The
bound is simple, and refuses some expressions that would be quick: nested repeats of parts that
vary in length, and more than three or four ``.*`` in names as long as 64 characters.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as op  # type: ignore[attr-defined]
    from re import _parser as reader  # type: ignore[attr-defined]
else:
    import sre_constants as op
    import sre_parse as reader

#: Bound of the steps that `re` may take for one name; measured, some milliseconds.
_MAX_STEPS = 10_000_000
#: Members of character ranges above which compiling would take `re` long.
_MAX_RANGES = 5_000
#: A number of ways that is as good as infinite.
_MANY = 10**12
#: Lengths of names that are told apart.
_LENGTHS = (16, 32, 64, 128, 256, 1024)

_TOO_LONG = "it may take too long to look for."


class Search:
    """Looks for a regular expression in names.

    Parameters
    ----------
    expression : str

    Raises
    ------
    ValueError
        If it is none, or may take too long to look for even in short names.
    """

    def __init__(self, expression: str) -> None:
        # Found anywhere is found anywhere, whatever comes before; but `re` would try it all.
        if expression.startswith(".*") and expression[2:3] not in ("", "?", "+"):
            expression = expression[2:]
        try:
            self._longest = _longest_name(reader.parse(expression))
            if not self._longest:
                raise ValueError(_TOO_LONG)
            self._search = re.compile(expression).search
        except (re.error, RecursionError, OverflowError, Warning) as error:
            raise ValueError(f"{error}.") from None

    def found_in(self, name: str) -> bool:
        """Tell whether the expression is found anywhere in `name`.

        Raises
        ------
        ValueError
            If that may take too long.
        """
        if len(name) > self._longest:
            raise ValueError(_TOO_LONG)
        return self._search(name) is not None


def _longest_name(tree: Any) -> int:
    """Return the length of names up to which `re` is quick enough; 0 if it never is."""
    if sum(_range_sizes(tree)) > _MAX_RANGES:
        return 0
    anchored = bool(tree.data) and tree.data[0] in (
        (op.AT, op.AT_BEGINNING),
        (op.AT, op.AT_BEGINNING_STRING),
    )
    length = 0
    for candidate in _LENGTHS:
        # Where it begins is one more choice among the lengths of its repeats.
        if _cost(tree, candidate, 0 if anchored else 1, outermost=True)[1] > _MAX_STEPS:
            break
        length = candidate
    return length


def _parts(what: Any, argument: Any) -> list[Any]:
    """Return the expressions that one is made of, in the order of the reader's tree."""
    if what is op.BRANCH:
        return list(argument[1])
    if what in (op.SUBPATTERN, op.MAX_REPEAT, op.MIN_REPEAT, *_POSSESSIVE):
        return [argument[-1]]
    if what in _ATOMIC:
        return [argument]
    if what in (op.ASSERT, op.ASSERT_NOT):
        return [argument[1]]
    if what is op.GROUPREF_EXISTS:
        return [part for part in argument[1:] if part is not None]
    return []


# These came with Python 3.11.
_POSSESSIVE = (op.POSSESSIVE_REPEAT,) if hasattr(op, "POSSESSIVE_REPEAT") else ()
_ATOMIC = (op.ATOMIC_GROUP,) if hasattr(op, "ATOMIC_GROUP") else ()


def _range_sizes(tree: Any) -> Iterator[int]:
    for what, argument in tree.data:
        if what is op.IN:
            for kind, limits in argument:
                if kind is op.RANGE:
                    yield limits[1] - limits[0]
        for part in _parts(what, argument):
            yield from _range_sizes(part)


def _cost(tree: Any, length: int, choices: int = 0, *, outermost: bool = False) -> tuple[int, int]:
    """Return no less than the ways to match a beginning of `length` characters, and the steps.

    `choices` counts repeats of parts that can be matched in one way only. Their lengths add up to
    no more than that of the name, so k of them have C(length + k, k) ways together.
    """
    other = 1
    steps = 1
    literal = False
    for position, (what, argument) in enumerate(tree.data):
        before = other * math.comb(length + choices, choices)
        was_literal, literal = literal, what is op.LITERAL
        if literal and was_literal:
            continue  # letters in a row count as one: nearly always the first tells
        if what in (op.MAX_REPEAT, op.MIN_REPEAT, *_POSSESSIVE):
            more, work = _cost_of_repeat(argument, length)
            if 1 < more <= length + 1 and what not in _POSSESSIVE:
                # Nothing comes behind the very last that could send it back.
                last = outermost and position == len(tree.data) - 1 and what is op.MAX_REPEAT
                choices += not last
                work = max(1, work // length)
                before = other * math.comb(length + choices, choices)
                more = 1
        else:
            costs = [_cost(part, length) for part in _parts(what, argument)]
            more = sum(cost[0] for cost in costs) or 1
            work = sum(cost[1] for cost in costs) or 1
        steps = min(_MANY, steps + before * work)
        # What looks around, and groups that nobody goes back into, are done with in one way.
        if what not in (op.ASSERT, op.ASSERT_NOT, *_ATOMIC, *_POSSESSIVE):
            other = min(_MANY, other * more)
    return min(_MANY, other * math.comb(length + choices, choices)), steps


def _cost_of_repeat(argument: Any, length: int) -> tuple[int, int]:
    least, most, part = int(argument[0]), int(argument[1]), argument[2]
    shortest, longest = (int(width) for width in part.getwidth())
    turns = min(most, length // shortest if shortest else length + 1)
    ways, steps = _cost(part, length)
    if shortest != longest:
        ways *= length  # ways to go on behind it
    if ways > 1:
        ways = min(_MANY, ways ** min(turns, 40))
        return ways, min(_MANY, ways * steps)
    # Nothing can be matched any number of times, which the name's length does not bound.
    turns = max(turns, 1, 0 if shortest else least)
    return max(1, turns - least + 1), turns * steps
