"""Where lines are printed: in colour to a terminal, plain to anything else."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from katcp.apps.cli._escape import to_json
from katcp.apps.cli._format import STYLES, Line, plain

PROGRAM = "katcp-cli"


def wants_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user has nothing against colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def can_redraw(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal on which something can be drawn over what was there."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "")


def can_show(text: str, stream: TextIO) -> bool:
    """Tell whether characters can be written to a stream."""
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Pages:
    """What was held back."""

    async def show(self) -> None:
        """Show it."""


class Screen:
    """Prints lines and records.

    Parameters
    ----------
    json : bool
        Whether records are printed, not lines.
    out : file
        Where; by default standard output.
    colour : bool
        By default, as `wants_colour` says.
    """

    def __init__(
        self, json: bool = False, out: TextIO | None = None, colour: bool | None = None
    ) -> None:
        self.json = json
        self.out = sys.stdout if out is None else out
        self.colour = wants_colour(self.out) if colour is None else colour
        #: Whether people look at it, who like to be told how old something is.
        self.for_people = self.out.isatty()
        self._console: Any = None

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines."""
        for line in lines:
            self.line(line)

    def line(self, line: Line) -> None:
        """Print a line."""
        if not self.colour:
            self.out.write(plain(line) + "\n")
            return
        from rich.text import Text

        text = Text.assemble(*[(piece.text, STYLES.get(piece.style, "")) for piece in line])
        text.rstrip()
        self._rich().print(text, soft_wrap=True)

    def _rich(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(
                file=self.out, force_terminal=True, markup=False, emoji=False, highlight=False
            )
        return self._console

    def record(self, record: dict[str, Any]) -> None:
        """Print a record as one line of JSON."""
        self.out.write(to_json(record) + "\n")

    @contextlib.contextmanager
    def held(self) -> Iterator[Pages]:
        """Hold back what is printed in a block, if there is to be a pager for it."""
        yield Pages()

    def complain(self, text: str) -> None:
        """Print an error in one line, apart from the rest."""
        complain(text)

    def flush(self) -> None:
        """See that all that was printed has gone out."""
        self.out.flush()


def complain(text: str) -> None:
    """Print an error, in one line, to standard error."""
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    sys.stderr.flush()
