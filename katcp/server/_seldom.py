"""Log lines about what others do, who may do it a thousand times a second."""

from __future__ import annotations

import logging
import time
from typing import Any

#: Shortest time between two lines of one kind [s].
SPAN = 10.0


class SeldomLog:
    """Logs at most once in `SPAN`; the next line says how many there would have been.

    Parameters
    ----------
    logger : logging.Logger
    level : int
        Of Python's logging.
    """

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger = logger
        self._level = level
        self._next = 0.0
        self._left_out = 0

    def log(self, text: str, *args: object, **kwargs: Any) -> None:
        """Log, or count."""
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        self._next = now + SPAN
        if self._left_out:
            text += " (%d more since the last line like this)"
            args = (*args, self._left_out)
            self._left_out = 0
        self._logger.log(self._level, text, *args, **kwargs)
