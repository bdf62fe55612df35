"""What every test of a promise is held to besides what it tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.helpers.guard import open_files


@pytest.fixture(autouse=True)
def no_file_stays_open(io_loop: object) -> Iterator[None]:
    """Fail if there are more open files after the test than before."""
    before = open_files()
    yield
    end = time.monotonic() + 5
    while open_files() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert open_files() <= before, "the test left files or sockets open"
