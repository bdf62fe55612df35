"""What the program writes to standard error while it serves."""

from __future__ import annotations

import logging
import logging.handlers
import sys

#: Levels of a device's log, as ``?log-level`` names them, and those of Python's logging.
LEVELS = {
    "all": 1,
    "trace": 1,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "off": logging.CRITICAL + 10,
}

#: Records kept while the device is being started.
_KEPT = 1000

# Control characters, but for the ends of the lines of tracebacks, and their C1 relatives.
_VISIBLE = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if code != 0x0A}


class SafeFormatter(logging.Formatter):
    """Writes control characters, which may come from a client, so that one sees them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return super().format(record).translate(_VISIBLE)


class StartLog:
    """Holds back what is logged until the device is served.

    If it cannot be served, the program says why in one line, and what libraries logged about the
    same trouble is not shown unless asked for.
    """

    def __init__(self, level: str, verbose: bool) -> None:
        number = LEVELS[level]
        if verbose:
            number = min(number, logging.INFO)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._handler = handler
        self._verbose = verbose
        self._memory = logging.handlers.MemoryHandler(
            _KEPT, flushLevel=logging.CRITICAL + 100, target=handler, flushOnClose=False
        )
        root = logging.getLogger()
        root.setLevel(number)
        root.addHandler(handler if verbose else self._memory)

    def served(self) -> None:
        """Show what was held back, and everything from now on."""
        if not self._verbose:
            root = logging.getLogger()
            root.removeHandler(self._memory)
            root.addHandler(self._handler)
            self._memory.flush()

    def discard(self) -> None:
        """Forget what was held back."""
        self._memory.setTarget(None)
