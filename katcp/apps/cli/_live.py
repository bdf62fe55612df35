"""A screen with a prompt at its bottom: what is printed appears above, and tears nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click
from prompt_toolkit.application import run_in_terminal

from katcp.apps.cli._format import Piece, width
from katcp.apps.cli._screen import Pages, Screen, wants_colour


class LiveScreen(Screen):
    """Prints above a prompt, if there is one just now.

    What is printed goes out at `flush`: at once while no line is being typed; else as soon as the
    prompt can be taken away, after which it is drawn again. While a pager is shown, all waits.

    Parameters
    ----------
    out : file, optional
        The terminal.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._terminal = sys.stdout if out is None else out
        self._buffer = io.StringIO()
        super().__init__(False, self._buffer, wants_colour(self._terminal))
        self.for_people = True
        #: The application of the prompt, once there is one.
        self.app: Any = None
        #: Whether a pager has the terminal.
        self.paging = False
        self._printing: asyncio.Future[Any] | None = None

    def complain(self, text: str) -> None:
        """Print an error."""
        self.notice(text, "error")

    def notice(self, text: str, style: str = "notice") -> None:
        """Print a remark of the program itself, safe to print already."""
        self.line([Piece(f"-- {text}", style)])
        self.flush()

    def flush(self) -> None:
        """Let out what was printed."""
        if self._buffer.tell() == 0 or self.paging:
            return
        if self.app is None or not self.app.is_running:
            self._write()
        elif self._printing is None or self._printing.done():
            # What comes until the prompt is out of the way goes along.
            self._printing = asyncio.ensure_future(run_in_terminal(self._write))

    def _write(self) -> None:
        if self.paging:
            return
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        self._terminal.write(text)
        self._terminal.flush()

    @contextlib.contextmanager
    def held(self) -> Iterator[Pages]:
        """Hold back what is printed in a block; it is shown in a pager if it is long."""
        pages = _LivePages(self, self._terminal)
        if not self._terminal.isatty() or os.environ.get("TERM") == "dumb":
            yield pages
            return
        self.flush()
        self.paging = True
        try:
            yield pages
        finally:
            self.paging = False
            pages.text = self._buffer.getvalue()
            self._buffer.seek(0)
            self._buffer.truncate()


class _LivePages(Pages):
    def __init__(self, screen: LiveScreen, terminal: TextIO) -> None:
        self._screen = screen
        self._terminal = terminal
        self.text = ""

    async def show(self) -> None:
        """Show what was held back: in a pager if it does not fit the terminal."""
        columns, height = shutil.get_terminal_size()
        lines = click.unstyle(self.text).splitlines()
        rows = sum(max(1, -(-width(line) // columns)) for line in lines)
        if rows < height - 1:
            self._terminal.write(self.text)
            self._terminal.flush()
            return
        # Ends by itself where all fits after all; shows colours; leaves what was seen.
        os.environ.setdefault("LESS", "FRX")
        self._screen.paging = True
        try:
            text = self.text.rstrip("\n")
            await asyncio.to_thread(click.echo_via_pager, text, self._screen.colour)
        finally:
            self._screen.paging = False
            self._screen.flush()
