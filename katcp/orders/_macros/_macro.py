"""A macro: a section, when it is due, and how far it has come; without clock or loop."""

from __future__ import annotations

import asyncio
import collections
import enum
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from katcp.orders._format import OrderFormatError
from katcp.orders._json import orders_from_json, section_from_json
from katcp.orders._macros._occurrences import Occurrences, occurrences
from katcp.orders._orders import Order
from katcp.orders._section import Section

log = logging.getLogger("katcp.orders")

#: An occurrence is late when it is begun so long after its time [s].
LATE_AFTER = 5.0
#: Most missed occurrences of one macro that are made up for; older ones are dropped.
MAX_MISSED = 1_000

_MACRO_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)


class Late(enum.Enum):
    """What is done about occurrences that were missed, by a stop or by a section that took long."""

    #: All are made up for, one after another, the oldest first.
    RUN_ALL = "run-all"
    #: One section is executed for all of them.
    RUN_LAST = "run-last"
    #: They are left out.
    SKIP = "skip"


class Macro:
    """A section, and when it is to be executed.

    Parameters
    ----------
    macro_id : str
        Its name: up to 64 letters, digits, ``.``, ``-`` and ``_``.
    when : str
        Five fields of a calendar, such as ``30 6 * * mon-fri``, or moments; see `occurrences`.
    section : Section, list of Order, or str or mapping
        What to execute. Text or a mapping is the JSON form of a section, or the array of its
        orders. It has neither id nor deadline: each occurrence gets a section with its own id.
    late : Late
        What is done about occurrences that were missed.

    Attributes
    ----------
    times : Occurrences
        When it is due.
    section : dict
        The section in its JSON form.

    Raises
    ------
    ValueError
        If one of them cannot be used.
    """

    def __init__(
        self,
        macro_id: str,
        when: str,
        section: Section | list[Order] | str | bytes | Mapping[str, Any],
        late: Late = Late.RUN_LAST,
    ) -> None:
        if _MACRO_ID.fullmatch(macro_id) is None:
            raise ValueError(f"{macro_id!r} cannot be the name of a macro.")
        self.macro_id = macro_id
        self.times: Occurrences = occurrences(when)
        made = _section(section)
        if not made:
            raise ValueError("The section of a macro has no orders.")
        if made.section_id is not None or made.finish_by is not None:
            raise ValueError("The section of a macro has neither section_id nor finish_by.")
        self.section = made.to_json()
        self.late = Late(late)

    def make_section(self, occurrence: float) -> Section:
        """Return the section for one occurrence; its id says which."""
        return Section.from_json(
            {**self.section, "section_id": f"macro-{self.macro_id}-{occurrence:.3f}"}
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Macro) and self._key == other._key

    def __hash__(self) -> int:
        return hash((self.macro_id, self.times.text))

    @property
    def _key(self) -> tuple[object, ...]:
        return self.macro_id, self.times.text, self.section, self.late

    def __repr__(self) -> str:
        return f"<Macro {self.macro_id}: {self.times.text}>"


def _section(given: Section | list[Order] | str | bytes | Mapping[str, Any]) -> Section:
    if isinstance(given, Section):
        return given
    if isinstance(given, (str, bytes)):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise OrderFormatError(f"not JSON: {error}") from None
    if isinstance(given, Mapping):
        return section_from_json(given)
    if isinstance(given, list) and all(isinstance(order, Order) for order in given):
        return Section(given)
    return Section(orders_from_json(given))


class MacroState:
    """A macro, and how far it has come.

    Attributes
    ----------
    macro : Macro
    done_until : float
        Occurrences up to this one have been dealt with [s since 1970].
    last_run : float or None
        The last occurrence that was executed, or left out [s since 1970].
    last_state : str
        What its section came to: one of `SECTION_STATES`, or ``skipped``; empty if there was none.
    """

    def __init__(self, macro: Macro, done_until: float) -> None:
        self.macro = macro
        self.done_until = done_until
        self.last_run: float | None = None
        self.last_state = ""
        self.missed: collections.deque[float] = collections.deque()
        self._next: tuple[float, float | None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.not_before = 0.0

    @property
    def next_run(self) -> float | None:
        """The first occurrence that has not been dealt with, None if there is none [s]."""
        if self.missed:
            return self.missed[0]
        # Looked up once: in a calendar of seldom days that takes a while.
        if self._next is None or self._next[0] != self.done_until:
            self._next = self.done_until, self.macro.times.after(self.done_until)
        return self._next[1]

    def take(self, now: float) -> tuple[float | None, float] | None:
        """Decide what to do now; pure.

        Returns
        -------
        (float or None, float) or None
            The occurrence to execute, if any, and up to which all are dealt with by that. None if
            nothing is due.
        """
        first = self.next_run
        if first is None or first > now:
            return None
        if self.macro.late is Late.RUN_ALL:
            if not self.missed:
                self._note_missed(now)
            return self.missed[0], self.missed[0]
        last = self.macro.times.latest(now)
        last = first if last is None else max(first, last)
        if self.macro.late is Late.SKIP and now - last > LATE_AFTER:
            return None, last
        return last, last

    def _note_missed(self, now: float) -> None:
        """List the occurrences up to now, from the newest backwards: there may be any number."""
        moment = self.macro.times.latest(now)
        while moment is not None and moment > self.done_until:
            if len(self.missed) >= MAX_MISSED:
                log.warning("Macro %s: occurrences before the last %d are dropped", *self._told())
                break
            self.missed.appendleft(moment)
            # Of a calendar none is nearer than a minute; of moments some may be.
            moment = self.macro.times.latest(moment - 1e-6)

    def _told(self) -> tuple[str, int]:
        return self.macro.macro_id, MAX_MISSED

    def done(self, until: float, state: str) -> None:
        """Take note that occurrences are dealt with."""
        self.done_until = max(until, self.done_until)
        self.last_run, self.last_state = until, state
        while self.missed and self.missed[0] <= until:
            self.missed.popleft()
