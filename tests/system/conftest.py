"""One demo server for all tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.system.programs import Served, serve


@pytest.fixture(scope="package")
def demo() -> Iterator[Served]:
    """A demo device in a process of its own."""
    with serve("demo") as served:
        yield served
        assert served.end() == 0
