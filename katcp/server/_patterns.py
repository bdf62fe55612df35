"""Regular expressions from clients, looked for in names at a bounded cost.

Operations wanted: tell whether an expression that a stranger wrote is found in a name, for
thousands of names, and never take so long that other clients notice.

Plan: the engine of `re` tries one way after the other, and there are expressions for which the
number of ways grows exponentially with the name (``(a+)+$``). So each expression is read first
(by the reader that `re` has), and the ways are counted, or rather bounded from above. Where they
are few, which is nearly always, `re` is used. Otherwise the expression becomes an automaton that is
in all its states at once, and needs one step for each character whatever the expression; steps
are remembered. What automata cannot do (back-references, looking around) is refused where `re`
might take too long.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as op  # type: ignore[attr-defined]
    from re import _parser as reader  # type: ignore[attr-defined]
else:
    import sre_constants as op
    import sre_parse as reader

#: Bound of the steps that `re` may take for one name; some milliseconds.
_MAX_STEPS = 300_000
#: Members of character ranges above which compiling would take `re` long.
_MAX_RANGES = 5_000
#: States of an automaton. One step visits each of them at most once.
_MAX_STATES = 1_200
#: Visits of states that are made for one name, and for one expression in all.
_MAX_VISITS_A_NAME = 8_000
_MAX_VISITS = 2_000_000
#: Steps of an automaton that are remembered, by the states it was in before.
_MAX_KNOWN = 2_000

_CASE_BLIND = re.IGNORECASE.value
_MANY = 10**12

Test = Callable[[str], bool]


class Search:
    """Looks for a regular expression in names.

    Parameters
    ----------
    expression : str

    Raises
    ------
    ValueError
        If it is none, or cannot be looked for at a bounded cost.
    """

    def __init__(self, expression: str) -> None:
        try:
            tree = reader.parse(expression)
            self._quick_up_to = _quick_up_to(tree)
            if self._quick_up_to:
                self._search = re.compile(expression).search
        except (re.error, RecursionError, OverflowError, Warning) as error:
            raise ValueError(f"{error}.") from None
        self._tree: Any = tree
        self._automaton: _Automaton | None = None
        if self._quick_up_to < 64:  # some name will be longer
            self._automaton = self._make_automaton()

    def _make_automaton(self) -> _Automaton:
        try:
            return _Automaton(self._tree)
        except (re.error, RecursionError) as error:
            raise ValueError(f"{error}.") from None

    def found_in(self, name: str) -> bool:
        """Tell whether the expression is found anywhere in `name`.

        Raises
        ------
        ValueError
            If that takes too long.
        """
        if len(name) <= self._quick_up_to:
            return self._search(name) is not None
        if self._automaton is None:
            self._automaton = self._make_automaton()
        return self._automaton.found_in(name)


# -- how many ways there are --------------------------------------------------------------


def _quick_up_to(tree: Any) -> int:
    """Return the length of names up to which `re` may be used; 0 if it may not."""
    if sum(_range_sizes(tree)) > _MAX_RANGES:
        return 0
    anchored = bool(tree.data) and tree.data[0] in (
        (op.AT, op.AT_BEGINNING),
        (op.AT, op.AT_BEGINNING_STRING),
    )
    length = 0
    for candidate in (16, 32, 64, 128, 256, 1024, 4096):
        starts = 1 if anchored else candidate
        if starts * _cost(tree, candidate)[1] > _MAX_STEPS:
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


def _cost(tree: Any, length: int) -> tuple[int, int]:
    """Return no less than the ways to match a beginning of `length` characters, and the steps."""
    ways, steps = 1, 1
    for what, argument in tree.data:
        if what in (op.MAX_REPEAT, op.MIN_REPEAT, *_POSSESSIVE):
            more, work = _cost_of_repeat(argument, length)
        else:
            costs = [_cost(part, length) for part in _parts(what, argument)]
            more = sum(cost[0] for cost in costs) or 1
            work = sum(cost[1] for cost in costs) or 1
        steps = min(_MANY, steps + ways * work)
        # What looks around, and groups that nobody goes back into, are done with in one way.
        if what not in (op.ASSERT, op.ASSERT_NOT, *_ATOMIC, *_POSSESSIVE):
            ways = min(_MANY, ways * more)
    return ways, steps


def _cost_of_repeat(argument: Any, length: int) -> tuple[int, int]:
    least, most, part = int(argument[0]), int(argument[1]), argument[2]
    shortest, longest = part.getwidth()
    turns = min(most, length // int(shortest) if shortest else length + 1)
    ways, steps = _cost(part, length)
    if shortest != longest:
        ways *= length  # ways to go on behind it
    if ways > 1:
        ways = min(_MANY, ways ** min(turns, 40))
        return ways, ways * steps
    # Nothing can be matched any number of times, which the name's length does not bound.
    turns = max(turns, 1, 0 if shortest else least)
    return max(1, turns - least + 1), turns * steps


# -- the automaton ------------------------------------------------------------------------


class _Automaton:
    """An expression as states between which characters lead."""

    def __init__(self, tree: Any) -> None:
        self._tests: list[Test | None] = []  # what a character has to fulfil to leave a state
        self._places: list[Any] = []  # or what the place in the name has to be
        self._next: list[tuple[int, ...]] = []  # where it leads
        self._copies = 0
        self._flags = tree.state.flags
        self._accept = self._add()
        self._start = self._sequence(tree.data, self._accept, self._flags)
        self._ascii = bool(self._flags & re.ASCII.value)
        self._visits = self._visits_of_name = 0
        self._known: dict[tuple[frozenset[int], str], _Step] = {}
        self._first = self._step_to(frozenset(), "start")

    # -- making it --

    def _add(self, *following: int, test: Test | None = None, place: Any = None) -> int:
        if len(self._next) >= _MAX_STATES:
            raise re.error("too complex")
        self._tests.append(test)
        self._places.append(place)
        self._next.append(following)
        return len(self._next) - 1

    def _sequence(self, items: Sequence[Any], following: int, flags: int) -> int:
        """Add states for items that come one after the other; return the first."""
        for what, argument in reversed(items):
            following = self._item(what, argument, following, flags)
        return following

    def _item(self, what: Any, argument: Any, following: int, flags: int) -> int:
        if what is op.BRANCH:
            ways = [self._sequence(part.data, following, flags) for part in argument[1]]
            return self._add(*ways)
        if what is op.SUBPATTERN:
            _, more, less, part = argument
            return self._sequence(part.data, following, (flags | more) & ~less)
        if what in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(argument, following, flags)
        if what is op.AT:
            if flags & re.MULTILINE.value:
                argument = op.AT_MULTILINE.get(argument, argument)
            return self._add(following, place=argument)
        if what is getattr(op, "FAILURE", None):
            return self._add()
        test = _test_for(what, argument, flags)
        if test is None:
            raise re.error("it may take too long, and looks around or refers to a group")
        return self._add(following, test=test)

    def _repeat(self, argument: Any, following: int, flags: int) -> int:
        least, most, part = argument
        if most == op.MAXREPEAT:
            again = self._add()
            self._next[again] = (self._copy(part, again, flags), following)
            following = again
        else:
            entry = following
            for _ in range(int(least), int(most)):
                entry = self._add(self._copy(part, entry, flags), following)
            following = entry
        for _ in range(int(least)):
            following = self._copy(part, following, flags)
        return following

    def _copy(self, part: Any, following: int, flags: int) -> int:
        self._copies += 1
        if self._copies > _MAX_STATES:  # of nothing, or they would be states
            raise re.error("too complex")
        return self._sequence(part.data, following, flags)

    # -- running it --

    def found_in(self, name: str) -> bool:
        self._visits_of_name = 0
        step = self._first
        for character in name:
            following = step.after.get(character)
            if following is None:
                following = step.after[character] = self._advance(step, character)
            if following.found:
                return True
            step = following
        if step.found_at_end is None:
            step.found_at_end = self._accept in self._closure(step, "")
        return step.found_at_end

    def _advance(self, step: _Step, character: str) -> _Step:
        states = self._closure(step, character)
        if self._accept in states:
            return _FOUND
        members = set()
        for state in states:
            test = self._tests[state]
            if test is not None and test(character):
                members.add(self._next[state][0])
        return self._step_to(frozenset(members), self._context(character))

    def _step_to(self, members: frozenset[int], context: str) -> _Step:
        step = self._known.get((members, context))
        if step is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
                self._first.after.clear()
            step = self._known[members, context] = _Step(members, context)
        return step

    def _closure(self, step: _Step, character: str) -> set[int]:
        """Return the states that are reached without another character."""
        reached: set[int] = set()
        waiting = [self._start, *step.members]
        while waiting:
            state = waiting.pop()
            if state in reached:
                continue
            reached.add(state)
            if self._tests[state] is not None:
                continue
            place = self._places[state]
            if place is None or self._is_at(place, step.context, character):
                waiting.extend(self._next[state])
        self._visits += len(reached)
        self._visits_of_name += len(reached)
        if self._visits > _MAX_VISITS or self._visits_of_name > _MAX_VISITS_A_NAME:
            raise ValueError("it takes too long.")
        return reached

    def _context(self, character: str) -> str:
        if character == "\n":
            return "line"
        return "word" if self._is_word(character) else "other"

    def _is_word(self, character: str) -> bool:
        return (character.isalnum() or character == "_") and (
            not self._ascii or character.isascii()
        )

    def _is_at(self, place: Any, before: str, character: str) -> bool:
        """Tell whether a place is where `place` says; `character` comes next, or nothing."""
        if place in (op.AT_BEGINNING, op.AT_BEGINNING_STRING):
            return before == "start"
        if place is op.AT_BEGINNING_LINE:
            return before in ("start", "line")
        if place in (op.AT_END, op.AT_END_STRING):  # no name ends in a line feed
            return not character
        if place is op.AT_END_LINE:
            return character in ("", "\n")
        boundary = (before == "word") != bool(character and self._is_word(character))
        return boundary == (place is op.AT_BOUNDARY)


class _Step:
    """The states that an automaton is in behind some character."""

    __slots__ = ("after", "context", "found", "found_at_end", "members")

    def __init__(self, members: frozenset[int], context: str) -> None:
        self.members = members
        self.context = context  # what kind of character was the last
        self.after: dict[str, _Step] = {}
        self.found = False
        self.found_at_end: bool | None = None


_FOUND = _Step(frozenset(), "found")
_FOUND.found = True


# -- single characters --------------------------------------------------------------------


def _test_for(what: Any, argument: Any, flags: int) -> Test | None:
    """Return a function that tells whether a character fits; None if that is not all."""
    if what is op.ANY:
        every = bool(flags & re.DOTALL.value)
        return lambda character: every or character != "\n"
    if what is op.IN:
        members, negated = list(argument), False
        if members and members[0][0] is op.NEGATE:
            members, negated = members[1:], True
    elif what in (op.LITERAL, op.NOT_LITERAL):
        members, negated = [(op.LITERAL, argument)], what is op.NOT_LITERAL
    else:
        return None
    ascii_only = bool(flags & re.ASCII.value)

    def fits(character: str) -> bool:
        return any(_is_member(character, member, ascii_only) for member in members)

    if flags & _CASE_BLIND:
        return lambda character: (
            (
                fits(character)
                or any(
                    len(other) == 1 and fits(other)
                    for other in (character.lower(), character.upper())
                )
            )
            != negated
        )
    return lambda character: fits(character) != negated


def _is_member(character: str, member_of: Any, ascii_only: bool) -> bool:
    kind, argument = member_of
    if kind is op.LITERAL:
        return bool(ord(character) == argument)
    if kind is op.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    known = not ascii_only or character.isascii()
    name = str(argument)
    if name.endswith("DIGIT"):
        member = known and character.isdecimal()
    elif name.endswith("SPACE"):
        member = known and character.isspace()
    else:
        member = known and (character.isalnum() or character == "_")
    return member != ("_NOT_" in name)
