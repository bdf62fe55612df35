"""Macros: sections that are executed when their time comes.

Each time a macro is due a new section is made and handed over. It counts as executed when that
section has ended, and not before, so what a stop or a crash has prevented is seen at the next
start; what is done about it is the macro's affair (`Late`).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from katcp.aio import under_way
from katcp.orders._macros._macro import Late, Macro, MacroState
from katcp.orders._section import Section
from katcp.storage import Database

log = logging.getLogger("katcp.orders")

#: The tables of a database that holds macros.
MACRO_SCHEMA = (
    "CREATE TABLE macros (macro_id TEXT PRIMARY KEY, times TEXT NOT NULL,"
    " section TEXT NOT NULL, late TEXT NOT NULL, done_until REAL NOT NULL,"
    " last_run REAL, last_state TEXT NOT NULL)",
)

#: The wall clock may be set, so nobody sleeps longer than this without looking at it [s].
_LONGEST_SLEEP = 30.0
#: The clock was wrong before if it was set back by more; less repeats nothing [s].
_SET_BACK = 86400.0
#: After this a section is handed over again that the executor has refused [s].
_REFUSED = 5.0


class Macros:
    """Executes macros when their time comes.

    Parameters
    ----------
    submit : callable
        Takes a section, such as `OrderExecutor.execute`. What it returns is awaited, if it is a
        coroutine; it may return another section that has the same id and is known already. If it
        refuses one by an exception, that one is handed over again after 5 s.
    database : katcp.storage.Database, optional
        Where they are kept; it is not closed. Without one they are forgotten with the process.
    max_macros : int
        Most that there may be. Those that will never be due again make room for others.
    clock : callable
        Returns the time [s since 1970].
    on_change : callable, optional
        Called without arguments when a macro has come, gone or been executed.

    Notes
    -----
    For one loop. Nothing is executed unless `run` runs, which is made to be a service of a server:
    ``server.add_service_task(macros.run)``.

    An occurrence is executed at least once: if the process dies between the end of its section and
    the note of that, it counts as missed. The ids of the sections tell occurrences apart, so that
    one who keeps a journal of the ids need not execute a section twice.
    """

    def __init__(
        self,
        submit: Callable[[Section], object],
        *,
        database: Database | None = None,
        max_macros: int = 1_000,
        clock: Callable[[], float] = time.time,
        on_change: Callable[[], object] | None = None,
    ) -> None:
        self._submit = submit
        self._database = database
        self._max = max_macros
        self._clock = clock
        self._on_change = on_change
        self._states: dict[str, MacroState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loading: asyncio.Future[None] | None = None
        self._loaded = database is None
        #: The id of the last section that was not done, and its state; None if there was none.
        self.last_failure: str | None = None

    # -- what there is ------------------------------------------------------------------

    async def listing(self) -> list[MacroState]:
        """Return the macros and how far they have come, by name."""
        await self._load()
        return [self._states[name] for name in sorted(self._states)]

    @property
    def next_run(self) -> float | None:
        """When the next one is due [s since 1970]; None if none will ever be."""
        runs = [state.next_run for state in self._states.values()]
        return min((run for run in runs if run is not None), default=None)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._states)

    async def add(self, macro: Macro) -> MacroState:
        """Add a macro; when this returns, it is kept.

        Occurrences before this moment are none. One that is there already stays as it is.

        Raises
        ------
        ValueError
            If there is another one of that name, it will never be due, or there are too many.
        """
        await self._load()
        known = self._states.get(macro.macro_id)
        if known is not None:
            if known.macro == macro:
                return known
            raise ValueError(f"There is another macro {macro.macro_id!r}.")
        state = MacroState(macro, self._clock())
        if state.next_run is None:
            raise ValueError("All its moments are in the past.")
        self._make_room()
        self._states[macro.macro_id] = state
        if self._database is not None:
            self._database.execute(
                "INSERT OR REPLACE INTO macros VALUES (?, ?, ?, ?, ?, ?, ?)",
                macro.macro_id,
                macro.times.text,
                json.dumps(macro.section),
                macro.late.value,
                state.done_until,
                None,
                "",
            )
            await self._database.flush()
        self._changed()
        return state

    async def remove(self, macro_id: str) -> None:
        """Remove a macro; a section of it that is under way goes on.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        await self._load()
        self._forget(macro_id)
        if self._database is not None:
            await self._database.flush()
        self._changed()

    def _forget(self, macro_id: str) -> None:
        del self._states[macro_id]
        if self._database is not None:
            self._database.execute("DELETE FROM macros WHERE macro_id = ?", macro_id)

    def _make_room(self) -> None:
        if len(self._states) < self._max:
            return
        for macro_id, state in self._states.items():
            if state.next_run is None and state.task is None:
                self._forget(macro_id)
                return
        raise ValueError(f"There are {self._max} macros, and may be no more.")

    async def _load(self) -> None:
        while not self._loaded:
            loading = self._loading
            loop = asyncio.get_running_loop()
            if loading is None or loading.done() or loading.get_loop() is not loop:
                loading = self._loading = under_way(self._load_now())
            # Several may wait for it, and one of them be cancelled.
            await asyncio.shield(loading)

    async def _load_now(self) -> None:
        assert self._database is not None  # or there would be nothing to load
        await self._database.prepare("macros", MACRO_SCHEMA)
        rows = await self._database.query("SELECT * FROM macros")
        for row in rows:
            self._restore(row)
        self._loaded = True
        self._changed()

    def _restore(self, row: tuple[Any, ...]) -> None:
        macro_id, times, section, late, done_until, last_run, last_state = row
        try:
            state = MacroState(Macro(macro_id, times, section, Late(late)), done_until)
        except ValueError:
            log.exception("Macro %r is of no use any longer and is left out", macro_id)
            return
        state.last_run, state.last_state = last_run, last_state
        self._states[macro_id] = state

    def _changed(self) -> None:
        self._wake.set()
        if self._on_change is not None:
            self._on_change()

    # -- executing them -----------------------------------------------------------------

    async def run(self) -> None:
        """Execute macros until this is cancelled."""
        # The server may have been started before, in another loop.
        self._wake = asyncio.Event()
        await self._load()
        try:
            while True:
                self._wake.clear()
                nearest = self._begin_due()
                pause = min(max(nearest - self._clock(), 0.0), _LONGEST_SLEEP)
                # `asyncio.wait_for` may lose a cancellation that comes with the event.
                alarm = asyncio.get_running_loop().call_later(pause, self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    alarm.cancel()
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_due(self) -> float:
        """Begin what is due; return when to look again [s since 1970]."""
        now = self._clock()
        nearest = now + _LONGEST_SLEEP
        for state in self._states.values():
            if state.task is not None:
                continue  # it looks itself when it has ended
            if state.done_until > now + _SET_BACK:
                state.done_until = now
            moment = state.next_run
            if moment is None:
                continue
            moment = max(moment, state.not_before)
            if moment <= now:
                state.task = asyncio.get_running_loop().create_task(self._execute(state))
                self._tasks.add(state.task)
                state.task.add_done_callback(self._tasks.discard)
            else:
                nearest = min(nearest, moment)
        return nearest

    async def _execute(self, state: MacroState) -> None:
        try:
            while (taken := state.take(self._clock())) is not None:
                occurrence, until = taken
                came_to = "skipped" if occurrence is None else await self._once(state, occurrence)
                if came_to is None:
                    break
                state.done(until, came_to)
                await self._keep(state)
                self._changed()
        except Exception:
            log.exception("Macro %s failed", state.macro.macro_id)
            state.not_before = self._clock() + _REFUSED
        finally:
            state.task = None
            self._wake.set()

    async def _once(self, state: MacroState, occurrence: float) -> str | None:
        """Execute the section of an occurrence; return its state, None if it did not end."""
        section = state.macro.make_section(occurrence)
        section.origin = f"macro {state.macro.macro_id}"
        try:
            taken = self._submit(section)
            if inspect.iscoroutine(taken):
                taken = await taken
        except Exception as error:
            log.warning("Macro %s has to wait: %s", state.macro.macro_id, error)
            state.not_before = self._clock() + _REFUSED
            return None
        if isinstance(taken, Section):
            section = taken
        if not section.ended:
            await _ended(section)
        if section.state == "abandoned":
            state.not_before = self._clock() + _REFUSED
            return None
        if section.state != "done":
            self.last_failure = f"{section.section_id} {section.state}"
            log.warning("Macro %s: its section is %s", state.macro.macro_id, section.state)
        return section.state

    async def _keep(self, state: MacroState) -> None:
        if self._database is None or self._states.get(state.macro.macro_id) is not state:
            return
        self._database.execute(
            "UPDATE macros SET done_until = ?, last_run = ?, last_state = ? WHERE macro_id = ?",
            state.done_until,
            state.last_run,
            state.last_state,
            state.macro.macro_id,
        )
        await self._database.flush()


async def _ended(section: Section) -> None:
    """Wait until a section has ended, however it has."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: object) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed waits no more
            loop.call_soon_threadsafe(ended.set)

    section.future.add_done_callback(tell)
    await ended.wait()
