"""The last lines of a device's log, kept for those who come later."""

from __future__ import annotations

import collections
from dataclasses import asdict, dataclass
from typing import Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import MS_TO_SEC_FAC, SEC_TS_KATCP_MAJOR, MessageParser
from katcp.server import Reception
from katcp.web._visitor import to_text

#: Levels of log lines, the least first.
LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")

#: Longest text that is kept [bytes].
_LONGEST = 10_000


@dataclass(frozen=True)
class LogLine:
    """One line: level, time [s since 1970], name of the logger, text."""

    level: str
    time: float
    name: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def log_line(arguments: list[bytes], major: int) -> LogLine | None:
    """Return what a ``#log`` says; None if it has not four arguments."""
    if len(arguments) < 4:
        return None
    level, stamp, name, text = (to_text(argument[:_LONGEST]) for argument in arguments[:4])
    try:
        when = float(stamp)
    except ValueError:
        return None
    if not 0 <= when < 1e15:
        return None
    return LogLine(level, when if major >= SEC_TS_KATCP_MAJOR else when * MS_TO_SEC_FAC, name, text)


class LogTail:
    """Keeps the last lines that a device has sent to all its clients.

    Parameters
    ----------
    reception : Reception
    size : int
        Most lines.
    """

    def __init__(self, reception: Reception, size: int = 500) -> None:
        self._major = reception.protocol.major
        # Read only when somebody asks: keeping a line costs next to nothing.
        self._lines: collections.deque[bytes] = collections.deque(maxlen=size)
        self.close = reception.listen(self._take)

    def _take(self, line: bytes) -> None:
        if line.startswith(b"#log ") and len(line) <= 4 * _LONGEST:
            self._lines.append(line)

    def lines(self) -> list[LogLine]:
        """Return the lines, the oldest first."""
        parser = MessageParser()
        found = []
        for raw in self._lines:
            try:
                line = log_line(list(parser.parse(raw.rstrip(b"\n")).arguments), self._major)
            except KatcpSyntaxError:
                continue
            if line is not None:
                found.append(line)
        return found
