"""Following the sections of a device: a table that lives, or a line for each change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from katcp.apps.cli._asking import texts
from katcp.apps.cli._errors import DONE, REFUSED, NoConnection, Refused
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Line, Piece, columns, refusal_text
from katcp.apps.cli._layout import to_text
from katcp.apps.cli._orders import (
    FINAL,
    HEAD,
    SectionRow,
    event_line,
    event_record,
    list_rows,
    order_rows,
    state_piece,
)
from katcp.apps.cli._screen import can_show
from katcp.apps.cli._verbs import Here
from katcp.errors import KatcpClientError

#: Shortest time between two looks at the whole list [s].
_INTERVAL = 0.25
#: Lines of the terminal that are not for sections.
_OTHER_LINES = 4


class Following:
    """Keeps up with the sections of a device.

    Parameters
    ----------
    here : Here
    name : str, optional
        The only section that is wanted; it ends when this has.
    """

    def __init__(self, here: Here, name: str | None = None) -> None:
        self._here = here
        self._asker = here.asker
        self._name = name
        #: The sections, in the order in which the device lists them.
        self.rows: list[SectionRow] = []
        #: What was told last of an order: section, index, outcome and so on.
        self.last: list[str] = []
        self._states: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._lost = asyncio.Event()
        self._events: asyncio.Queue[tuple[float, list[str]]] | None = None
        client = self._asker.client
        client.hook_wire_inform("section-state", self._take)
        client.hook_wire_inform("order-state", self._take)

    def _take(self, arguments: list[bytes]) -> None:
        words = texts(arguments)
        if not words or (self._name is not None and words[0] != self._name):
            return
        if len(words) > 2:
            self.last = words
        self._changed.set()
        if self._events is not None:
            self._events.put_nowait((time.time(), words))

    async def _begin(self) -> None:
        """Ask to be told.

        Raises
        ------
        Refused
            If the device takes no orders, or does not know the section.
        """
        self.rows = await list_rows(self._asker, self._name)
        arguments = ["on"] if self._name is None else ["on", self._name]
        reply, _ = await self._asker.ask("section-follow", *arguments)
        if not reply.reply_ok():
            raise Refused(refusal_text("section-follow", reply.arguments))
        self.rows = await list_rows(self._asker, self._name)  # what has changed meanwhile

    @property
    def _is_over(self) -> bool:
        return self._name is not None and all(row.state in FINAL for row in self.rows)

    @property
    def _status(self) -> int:
        return DONE if all(row.state == "done" for row in self.rows) else REFUSED

    @contextlib.asynccontextmanager
    async def _watching_the_connection(self) -> Any:
        async def watch() -> None:
            with contextlib.suppress(KatcpClientError):
                await self._asker.client.until_stopped()
            self._lost.set()
            self._changed.set()

        watching = asyncio.ensure_future(watch())
        try:
            yield
        finally:
            watching.cancel()

    def _check_connection(self) -> None:
        if self._lost.is_set():
            raise NoConnection(self._asker.lost_text())

    async def keep_rows(self) -> int:
        """Keep `rows` up to date, until the wanted section has ended; return the exit status.

        Raises
        ------
        NoConnection
            If the connection is lost.
        """
        await self._begin()
        async with self._watching_the_connection():
            while not self._is_over:
                await self._changed.wait()
                self._check_connection()
                self._changed.clear()
                self.rows = await list_rows(self._asker, self._name)
                await asyncio.sleep(_INTERVAL)
        return self._status if self._name is not None else DONE

    async def print_events(self) -> int:
        """Print a line for each change, until the wanted section has ended."""
        self._events = asyncio.Queue()
        await self._begin()
        screen = self._here.screen
        for row in self.rows:
            if row.state not in FINAL or self._name is not None:
                self._print(time.time(), [row.name, row.state])
        async with self._watching_the_connection():
            while not self._is_over:
                if self._events.empty():
                    screen.flush()
                    self._check_connection()
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                moment, words = self._events.get_nowait()
                self._print(moment, words)
                if len(words) == 2 and words[1] in FINAL and self._name is not None:
                    self.rows = await list_rows(self._asker, self._name)
        screen.flush()
        return self._status if self._name is not None else DONE

    def _print(self, moment: float, words: list[str]) -> None:
        if len(words) == 2:
            if self._states.get(words[0]) == words[1]:
                return  # it was found to be so before it was told
            self._states[words[0]] = words[1]
            if words[1] in FINAL and self._name is None:
                del self._states[words[0]]
        if self._here.json:
            self._here.screen.record(event_record(moment, words))
        else:
            self._here.screen.line(event_line(moment, words))


class SectionTable:
    """The sections of a device, as they are to be seen.

    Parameters
    ----------
    here : Here
    following : Following
    """

    def __init__(self, here: Here, following: Following) -> None:
        self._address = here.asker.address
        self._following = following
        self._dots = "…" if can_show("…", here.screen.out) else "~"
        self._above = 0  # how many sections are below those that are shown

    def draw(self, width: int, height: int, going: bool) -> Any:
        """Return what is to be seen now: the newest sections, at the bottom."""
        rows = self._following.rows
        room = max(1, height - _OTHER_LINES)
        self._above = max(0, min(self._above, len(rows) - room))
        end = len(rows) - self._above
        shown = rows[max(0, end - room) : end]
        now = time.time()
        lines = [self._heading(rows), *columns([HEAD, *[row.line(now) for row in shown]])]
        if self._following.last:
            lines.append(self._last_line())
        if len(shown) < len(rows):
            first = end - len(shown) + 1
            keys = "  arrows, PgUp, PgDn; q leaves" if going else ""
            lines.append([Piece(f"{first}-{end} of {len(rows)}{keys}", "dim")])
        return to_text(lines, width, self._dots)

    def _heading(self, rows: list[SectionRow]) -> Line:
        waiting = sum(row.state == "queued" for row in rows)
        running = sum(row.state == "running" for row in rows)
        clock = time.strftime("%H:%M:%SZ", time.gmtime())
        count = f"{len(rows)} section{'s' if len(rows) != 1 else ''}"
        told = f"  {count}, {running} running, {waiting} queued  {clock}"
        return [Piece(self._address, "name"), Piece(told, "dim")]

    def _last_line(self) -> Line:
        name, index, outcome, attempts, detail = [*self._following.last, *[""] * 4][:5]
        times = f" ({visible(attempts)} attempts)" if attempts not in ("", "0", "1") else ""
        return [
            Piece(f"last: {visible(name)} order {visible(index)} ", "dim"),
            state_piece(outcome),
            Piece(f"{times} {visible(detail)}", "dim"),
        ]

    def key(self, key: str, height: int) -> None:
        """Move the table by a key, as in a pager."""
        page = max(1, height - _OTHER_LINES)
        steps = {"up": 1, "k": 1, "down": -1, "j": -1, "pageup": page, "pagedown": -page}
        if key in ("home", "g"):
            self._above = len(self._following.rows)
        elif key in ("end", "G"):
            self._above = 0
        else:
            self._above = max(0, self._above + steps.get(key, 0))


async def follow(here: Here, name: str | None, live: bool) -> int:
    """Show the sections of a device, or one, as they change; return the exit status.

    Parameters
    ----------
    name : str, optional
        The only section that is wanted: this ends with it.
    live : bool
        Whether to show them in a table that is kept up to date.
    """
    following = Following(here, name)
    if not live:
        return await following.print_events()
    from katcp.apps.cli._stage import Stage  # takes a while to import

    table = SectionTable(here, following)
    status = await Stage(here.screen, table.draw, table.key).until(following.keep_rows())
    if name is not None and status in (DONE, REFUSED):
        with contextlib.suppress(Refused):
            rows = await order_rows(here.asker, name)
            here.screen.lines(columns([row.line() for row in rows]))
    return status
