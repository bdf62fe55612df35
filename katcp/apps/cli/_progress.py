"""Telling on the terminal how far something is that takes over a second."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

#: What takes less than this is not told of [s].
_PATIENCE = 1.0


class Progress:
    """Shows, on a line that goes away in the end, what is being waited for.

    Of steps within one another the outermost is shown.

    Parameters
    ----------
    stream : file, optional
        A terminal; None: nothing is shown.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._display: Any = None
        self._step: Step | None = None

    @classmethod
    def on_terminal(cls, json: bool = False) -> Progress:
        """Return one on standard error, if that is a terminal that can, and people look at it."""
        shown = not json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return cls(sys.stderr if shown else None)

    @contextlib.contextmanager
    def step(self, what: str, total: int | None = None) -> Iterator[Step]:
        """Do a step; show it if it takes long.

        Parameters
        ----------
        what : str
            What is being done, safe to print.
        total : int, optional
            Of how many parts it is.
        """
        step = Step(what, total)
        if self._stream is None or self._step is not None:
            yield step
            return
        self._step = step
        timer = asyncio.get_running_loop().call_later(_PATIENCE, self._show)
        step.on_end = lambda: self._end(timer)
        try:
            yield step
        finally:
            step.end()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        step = self._step
        if step is None:
            return
        bar = [BarColumn(20)] if step.total else []
        self._display = RichProgress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            *bar,
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=self._stream, markup=False, emoji=False, highlight=False),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=8,
            get_time=None,
        )
        task = self._display.add_task(step.what, total=step.total, count="")

        def tell() -> None:
            of = f"/{step.total}" if step.total else ""
            count = f"{step.done}{of}" if step.done or step.total else ""
            self._display.update(task, description=step.what, completed=step.done, count=count)

        step.on_advance = tell
        tell()
        self._display.start()

    def _end(self, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        display, self._display, self._step = self._display, None, None
        if display is not None:
            display.stop()


class Step:
    """Something that is being done.

    Attributes
    ----------
    what : str
    total : int or None
    done : int
        How many parts of it are.
    """

    def __init__(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.on_advance: Any = None
        self.on_end: Any = None

    def advance(self, count: int = 1) -> None:
        """Take note that parts of it are done."""
        self.done += count
        if self.on_advance is not None:
            self.on_advance()

    def end(self) -> None:
        """End it, or at least its show: something else is to be printed now."""
        self.on_advance = None
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()
