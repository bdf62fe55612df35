"""A loop for each test, and a look at what the test leaves behind.

Coroutine tests run on Tornado's loop by pytest-tornasync, which takes the fixture `io_loop`. Tests
marked ``virtual_time`` get a loop whose clock jumps to the next timer, so an hour takes no time;
it has no real sockets.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import async_solipsism
import pytest
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import BaseAsyncIOLoop


class _VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc]  # has no annotations
    """Takes callbacks before it runs, as Tornado hands them in."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if not self.is_running():
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)


def _new_loop(virtual: bool) -> IOLoop:
    if not virtual:
        return IOLoop(make_current=False)
    loop: IOLoop = BaseAsyncIOLoop(_VirtualLoop(), make_current=False)
    loop.time = loop.asyncio_loop.time  # type: ignore[method-assign,attr-defined]
    return loop


@pytest.fixture(autouse=True)
def io_loop(request: pytest.FixtureRequest) -> Iterator[IOLoop]:
    """The loop of the test; it must be empty when the test ends."""
    loop = _new_loop(request.node.get_closest_marker("virtual_time") is not None)
    asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
    complaints: list[dict[str, Any]] = []
    asyncio_loop.set_exception_handler(lambda _, context: complaints.append(context))
    threads = set(threading.enumerate())
    yield loop
    # What has just been cancelled or closed needs a few turns to end.
    for _ in range(5):
        asyncio_loop.run_until_complete(asyncio.sleep(0))
    tasks = asyncio.all_tasks(asyncio_loop)
    left = [repr(task) for task in tasks]
    for task in tasks:
        task.cancel()
    if tasks:
        asyncio_loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    asyncio_loop.run_until_complete(asyncio_loop.shutdown_asyncgens())
    loop.close()
    assert not left, f"the test left tasks running: {left}"
    assert not complaints, f"the loop met errors that nobody took: {complaints}"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        extra = [t for t in threading.enumerate() if t not in threads and not _idle_worker(t)]
        if not extra:
            break
        time.sleep(0.01)
    assert not extra, f"the test left threads running: {extra}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``soak``, unless it is asked for by ``-m``."""
    if "soak" in config.getoption("-m"):
        return
    left_out = [item for item in items if item.get_closest_marker("soak")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def _idle_worker(thread: threading.Thread) -> bool:
    # The loop's default executor keeps its threads; they are daemons of the interpreter's exit.
    return thread.name.startswith(("asyncio_", "ThreadPoolExecutor"))


@pytest.fixture
def no_log_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if the test logs an error."""
    yield
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert not errors
