"""What tests of TLS are held to besides what they test."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from tests.helpers.guard import open_files


@pytest.fixture(autouse=True)
def nothing_left(io_loop: object, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if sockets stay open, or anything was logged with a traceback."""
    before = open_files()
    yield
    end = time.monotonic() + 5
    while open_files() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert open_files() <= before, "the test left files or sockets open"
    for phase in ("setup", "call"):
        for record in caplog.get_records(phase):  # type: ignore[arg-type]
            assert not record.exc_info, record.getMessage()
            assert record.levelno < logging.ERROR, record.getMessage()
