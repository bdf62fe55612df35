"""What an executor has taken and not ended, who is told of it, and how it went."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from katcp.aio import Waiters, call_guarded
from katcp.orders._outcome import Outcome
from katcp.orders._section import Section

_log = logging.getLogger("katcp.orders")

#: Called with a section, and with the index of an order that has advanced or None.
Listener = Callable[[Section, "int | None"], object]


class ExecutorStopped(RuntimeError):
    """Sections were given to an executor that is stopped."""


class QueueFull(RuntimeError):
    """Sections were given to an executor that has as many as it takes."""


class SectionJournal(Protocol):
    """What is told of sections, and awaited, before they go on."""

    async def accepted(self, section: Section, origin: str) -> None:
        """Take note of a new section; it can be started after that."""

    async def started(self, section: Section, index: int) -> None:
        """Take note of an order that is to be tried; it is, after that."""

    async def ended(self, section: Section, index: int, outcome: Outcome) -> None:
        """Take note of what an order came to; others see it after that."""

    async def finished(self, section: Section) -> None:
        """Take note of a section that has ended, or was cancelled; others see it after that."""


class Unfinished:
    """The sections of an executor that have not ended.

    Attributes
    ----------
    sections_done : int
        How many have ended, in whatever way.
    sections_failed : int
        How many of them without all their orders being carried out; cancelled ones do not count.
    last_failure : tuple of Section and Outcome, or None
        The last order that was not carried out.
    """

    def __init__(self) -> None:
        # Guards what threads that submit sections look at.
        self._lock = threading.Lock()
        # By id, the oldest first.
        self._known: dict[str, Section] = {}
        self._listeners: tuple[Listener, ...] = ()
        self._syncs: dict[asyncio.Future[Any], set[Section]] = {}
        self._sync_waiters: Waiters | None = None
        self.sections_done = 0
        self.sections_failed = 0
        self.last_failure: tuple[Section, Outcome] | None = None

    @property
    def unfinished(self) -> tuple[Section, ...]:
        """The sections that have not ended, the oldest first."""
        with self._lock:
            return tuple(self._known.values())

    def find(self, section_id: str) -> Section:
        """Return a section that has not ended.

        Raises
        ------
        KeyError
            If there is none of this id.
        """
        with self._lock:
            return self._known[section_id]

    def on_change(self, callback: Listener) -> None:
        """Have ``callback(section, index)`` called, in the loop, when something has changed.

        `index` is that of an order which has ended, or is to be tried again, or None if the state
        of the section has changed. What it raises is logged.
        """
        self._listeners = (*self._listeners, callback)

    def off_change(self, callback: Listener) -> None:
        """Call it no more."""
        self._listeners = tuple(each for each in self._listeners if each != callback)

    def _tell_listeners(self, section: Section, index: int | None) -> None:
        if index is not None:
            outcome = section.results_at(index)
            if outcome is not None and not outcome.good:
                self.last_failure = section, outcome
        for listener in self._listeners:
            call_guarded(_log, "A listener to changes of sections", listener, section, index)

    async def sync(self, timeout: float | None = None) -> None:
        """Wait until all sections that have been given so far have ended.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        unfinished = set(self.unfinished)
        if not unfinished:
            return
        if self._sync_waiters is None:
            self._sync_waiters = Waiters()
        future: asyncio.Future[Any] = self._sync_waiters.add(timeout, "sections to end")
        self._syncs[future] = unfinished
        try:
            await future
        finally:
            self._syncs.pop(future, None)

    def _forget(self, section: Section) -> None:
        """Count a section among those that have ended, if it was not."""
        with self._lock:
            if self._known.get(section.section_id or "") is not section:
                return
            del self._known[section.section_id or ""]
        self.sections_done += 1
        if section.state in ("partial", "failed", "abandoned"):
            self.sections_failed += 1
        for future, sections in tuple(self._syncs.items()):
            sections.discard(section)
            if not sections and not future.done():
                future.set_result(None)
