"""Predicates: conditions on sensors that open an event when they begin to hold, and close it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from katcp.endpoints._placed import check_name
from katcp.endpoints._predicates._events import COLOURS
from katcp.endpoints._predicates._silences import Silence
from katcp.expressions import Expression, Functions

Condition = Callable[[Mapping[str, Any]], object]


class Predicate:
    """A condition on sensors of a device.

    Parameters
    ----------
    name : str
        ASCII letters, digits, ``_`` and ``-``.
    condition : str or callable
        It is open while this holds: an expression with names of sensors in braces, ``{tank.level} >
        2.5``; or a function of their values, as a mapping by name, which are those of `sensors`.
    until : str or callable, optional
        It closes only when this holds, ``{tank.level} < 2``; by default when the condition does not
        hold any more.
    colour : {'white', 'yellow', 'red'}
        How bad it is.
    silences : iterable of Silence or (start, stop), optional
        Times of the week in which it does not open. What is open stays so until it closes, and what
        still holds at the end of a silence opens then.
    sensors : sequence of str, optional
        Names of the sensors that functions look at.
    functions : Functions, iterable of callables or mapping, optional
        More functions for expressions.
    description : str
        One sentence for people.

    Raises
    ------
    ValueError
        For a bad name, colour, silence or expression.
    """

    def __init__(
        self,
        name: str,
        condition: str | Condition,
        *,
        until: str | Condition | None = None,
        colour: str = "red",
        silences: Iterable[Silence | tuple[str, str]] = (),
        sensors: Sequence[str] = (),
        functions: Functions | Iterable[Callable[..., Any]] | None = None,
        description: str = "",
    ) -> None:
        self.name = check_name(name)
        if colour not in COLOURS:
            raise ValueError(f"the colour of an event is {', '.join(COLOURS)}; not {colour!r}")
        self.colour = colour
        self.silences = tuple(
            silence if isinstance(silence, Silence) else Silence(*silence) for silence in silences
        )
        names = dict.fromkeys(sensors)
        functions = Functions.of(functions)

        def made(rule: str | Condition) -> Condition:
            if not isinstance(rule, str):
                return rule
            expression = Expression(rule, variable_names=None, functions=functions)
            names.update(dict.fromkeys(expression.variables))
            return expression.evaluate

        self.condition = condition if isinstance(condition, str) else name
        self._opens = made(condition)
        self._closes = None if until is None else made(until)
        self.sensors: tuple[str, ...] = tuple(names)
        self.description = description or f"Whether {self.condition}"

    def holds(self, values: Mapping[str, Any], is_open: bool) -> bool:
        """Whether it is to be open, given what it is now; whatever a condition raises goes out."""
        if is_open and self._closes is not None:
            return not self._closes(values)
        return bool(self._opens(values))

    def is_silenced(self, when: datetime) -> bool:
        """Whether it does not open at a local time."""
        return any(silence.covers(when) for silence in self.silences)

    def __repr__(self) -> str:
        return f"<Predicate {self.name}: {self.condition}>"
