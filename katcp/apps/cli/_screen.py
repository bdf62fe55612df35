"""Where lines are printed: in colour to a terminal, plain to anything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from katcp.apps.cli._escape import to_json
from katcp.apps.cli._format import STYLES, Line, plain

PROGRAM = "katcp-cli"


def wants_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user has nothing against colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


class Screen:
    """Prints lines and records.

    Parameters
    ----------
    json : bool
        Whether records are printed, not lines.
    out : file
    colour : bool
    """

    def __init__(
        self, json: bool = False, out: TextIO | None = None, colour: bool | None = None
    ) -> None:
        self.json = json
        self._out = sys.stdout if out is None else out
        self._colour = wants_colour(self._out) if colour is None else colour
        self._console: Any = None

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines."""
        for line in lines:
            self.line(line)

    def line(self, line: Line) -> None:
        """Print a line."""
        if not self._colour:
            self._out.write(plain(line) + "\n")
            return
        from rich.text import Text

        text = Text.assemble(*[(piece.text, STYLES.get(piece.style, "")) for piece in line])
        text.rstrip()
        self._rich().print(text, soft_wrap=True)

    def _rich(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(
                file=self._out, force_terminal=True, markup=False, emoji=False, highlight=False
            )
        return self._console

    def record(self, record: dict[str, Any]) -> None:
        """Print a record as one line of JSON."""
        self._out.write(to_json(record) + "\n")

    def complain(self, text: str) -> None:
        """Print an error in one line, apart from the rest."""
        complain(text)

    def flush(self) -> None:
        """See that all that was printed has gone out."""
        self._out.flush()


def complain(text: str) -> None:
    """Print an error, in one line, to standard error."""
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    sys.stderr.flush()
