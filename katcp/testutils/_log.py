"""Log records, kept to be looked at."""

from __future__ import annotations

import logging
from typing import ClassVar

logger = logging.getLogger("katcp.testutils")


class TestLogHandler(logging.Handler):
    """A log handler that keeps all records, in the list `_records`."""

    #: Not a test, whatever its name begins with.
    __test__: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def clear(self) -> None:
        """Forget all records."""
        self._records = []
