from __future__ import annotations

import asyncio

import pytest

from katcp.ioloop_manager import IOLoopManager
from katcp.testutils import call_in_ioloop


@pytest.fixture
def manager() -> object:
    manager = IOLoopManager()
    loop = manager.get_ioloop()
    manager.start(timeout=5)
    yield loop
    manager.stop()
    manager.join(timeout=5)


def test_coroutines_are_begun_and_handed_back_as_futures(manager: object) -> None:
    begun: list[int] = []

    async def job() -> int:
        begun.append(1)
        return 7

    future = call_in_ioloop(manager, job)
    assert isinstance(future, asyncio.Future)
    call_in_ioloop(manager, lambda: None)
    call_in_ioloop(manager, lambda: None)
    assert begun == [1]
    assert future.result() == 7
