"""A screen with a prompt at its bottom: what is printed appears above, and tears nothing."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any, TextIO

from prompt_toolkit.application import run_in_terminal

from katcp.apps.cli._format import Piece
from katcp.apps.cli._screen import Screen, wants_colour


class LiveScreen(Screen):
    """Prints above a prompt, if there is one just now.

    What is printed goes out at `flush`: at once while no line is being typed; else as soon as the
    prompt can be taken away, after which it is drawn again.

    Parameters
    ----------
    out : file, optional
        The terminal.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._terminal = sys.stdout if out is None else out
        self._buffer = io.StringIO()
        super().__init__(False, self._buffer, wants_colour(self._terminal))
        #: The application of the prompt, once there is one.
        self.app: Any = None
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
        if self._buffer.tell() == 0:
            return
        if self.app is None or not self.app.is_running:
            self._write()
        elif self._printing is None or self._printing.done():
            # What comes until the prompt is out of the way goes along.
            self._printing = asyncio.ensure_future(run_in_terminal(self._write))

    def _write(self) -> None:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        self._terminal.write(text)
        self._terminal.flush()
