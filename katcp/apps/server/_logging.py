"""What the program writes to standard error while it serves."""

from __future__ import annotations

import datetime
import json
import logging
import logging.handlers
import sys

PROGRAM = "katcp-server"

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


#: Forms of what is logged.
FORMATS = ("text", "json")


class JsonFormatter(logging.Formatter):
    """Writes a record as a line of JSON, in ASCII: nothing in it can break out of the line.

    Keys are ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message`` and, where there was one,
    ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        entry = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry).replace("\x7f", "\\u007f")


def make_formatter(form: str) -> logging.Formatter:
    """Return the formatter for one of `FORMATS`."""
    if form == "json":
        return JsonFormatter()
    return SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def write_error(text: str, form: str = "text", *, named: bool = True) -> None:
    """Tell on standard error what keeps the program from serving.

    Parameters
    ----------
    text : str
        One line.
    form : str
        One of `FORMATS`.
    named : bool
        Whether a text begins with the name of the program.
    """
    if form == "json":
        record = logging.makeLogRecord({"name": PROGRAM, "levelname": "ERROR", "msg": text})
        line = JsonFormatter().format(record)
    else:
        line = f"{PROGRAM}: {text}" if named else text
    sys.stderr.write(f"{line}\n")


class StartLog:
    """Holds back what is logged until the device is served.

    If it cannot be served, the program says why in one line, and what libraries logged about the
    same trouble is not shown unless asked for.
    """

    def __init__(self, level: str, verbose: bool, form: str = "text") -> None:
        number = LEVELS[level]
        if verbose:
            number = min(number, logging.INFO)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(make_formatter(form))
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
