"""Conditions: what endpoints do, all at once, when something is wrong, or right again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from katcp.endpoints._blocking import begin
from katcp.endpoints._codes import foreseen
from katcp.endpoints._members import WithMembers


class ConditionOutcome(NamedTuple):
    """What an endpoint did when a condition was set.

    Attributes
    ----------
    path : str
    ok : bool
    text : str
        What was done, if it said so, or why not.
    """

    path: str
    ok: bool
    text: str


async def outcome_of(endpoint: WithMembers, act: Callable[[], Any]) -> list[ConditionOutcome]:
    """Have an endpoint act, and tell what came of it, whatever that does.

    Parameters
    ----------
    endpoint : WithMembers
    act : callable
        Does it, or returns something to be awaited for it: a text that says what was done, or
        None; a list of outcomes; or ``NotImplemented`` if it knows nothing of the condition.
    """
    try:
        result = act()
        if inspect.isawaitable(result):
            result = await result
    except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        return [ConditionOutcome(endpoint.path, False, str(foreseen(error, endpoint.path)))]
    if result is NotImplemented:
        return []
    if isinstance(result, list) and all(isinstance(one, ConditionOutcome) for one in result):
        return result
    return [ConditionOutcome(endpoint.path, True, result if isinstance(result, str) else "")]


class WithConditions(WithMembers):
    """Something that knows what to do under some conditions.

    Parameters
    ----------
    name : str
    timeout : float, optional
        Longest that its methods may take [s]; None: no limit.
    conditions : mapping, optional
        Number of a condition -> value to set then.
    """

    def __init__(
        self,
        name: str,
        timeout: float | None,
        conditions: Mapping[Any, Any] | None = None,
    ) -> None:
        super().__init__(name, timeout)
        if conditions is not None and not isinstance(conditions, Mapping):
            raise ValueError(f"{name}: conditions are values by number, not {conditions!r}")
        self.conditions = {} if conditions is None else dict(conditions)
        for number in self.conditions:
            if not isinstance(number, int) or isinstance(number, bool):
                raise ValueError(f"{name}: the number of a condition is an integer, not {number!r}")

    async def write(self, value: Any) -> Any:
        """Set it."""
        raise NotImplementedError

    def on_condition(self, number: int) -> Any:
        """Do what a condition asks of this endpoint: by default, set what `conditions` has for it.

        To be defined by subclasses that have to do more. It is called when it is its turn, may be
        a coroutine, and may return a text that says what was done; or ``NotImplemented`` if it
        knows nothing of that condition.
        """
        if number not in self.conditions:
            return NotImplemented
        return self.write(self.conditions[number])

    async def set_condition(self, number: int, *args: Any, **kwargs: Any) -> Any:
        """Have it and all below it do what a condition asks of them; locks are not asked.

        Those that fail keep nobody else from it. Instruments do not wait for each other; those of
        one provider have their turns. A subclass may do this in its own way; see `on_condition` for
        the usual one.

        Returns
        -------
        list of ConditionOutcome
            For each that knows the condition, in the order of the tree. A subclass may return a
            text, or None, in place of it.
        """
        own, *below = await asyncio.gather(
            outcome_of(self, lambda: self._meet(number)),
            *(child.condition_outcomes(number) for child in self.children()),
        )
        return [*own, *(outcome for some in below for outcome in some)]

    async def _meet(self, number: int) -> Any:
        """Call `on_condition` when it is its turn; those that know nothing need none."""
        is_usual = type(self).on_condition is WithConditions.on_condition
        if is_usual and number not in self.conditions:
            return NotImplemented
        async with self.lane.turn():
            return await self.bounded(begin(self, self.on_condition, number))

    async def condition_outcomes(self, number: int) -> list[ConditionOutcome]:
        """Do `set_condition`, whatever a subclass makes of it."""
        return await outcome_of(self, lambda: self.set_condition(number))
