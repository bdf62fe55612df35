"""A loop for each test, and a look at what the test leaves behind.

Coroutine tests run on Tornado's loop by pytest-tornasync, which takes the fixture `io_loop`. Tests
marked ``virtual_time`` get a loop whose clock jumps to the next timer, so an hour takes no time;
it has no real sockets.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import async_solipsism
import pytest
from tornado.ioloop import IOLoop
from tornado.platform.asyncio import BaseAsyncIOLoop

from tests.helpers import figures
from tests.helpers.guard import file_names, open_files


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


_STATUS = pytest.StashKey[int]()
#: How long what a test has ended may take to be gone [s].
_GRACE = 5.0


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Fail if there are more files, sockets or threads after the test than before.

    Exceptions that nobody could take are pytest's to report; tasks are looked at in `io_loop`.
    Memory is not: one test's worth is noise. See `tests.helpers.guard.Guard` for those that look.
    """
    files = open_files()
    threads = set(threading.enumerate())
    level = logging.getLogger("katcp").level
    yield
    assert logging.getLogger("katcp").level == level, "the test left the log at another level"
    extra = _extra_threads(threads)
    if not extra and open_files() <= files:  # as good as always; all of this takes 0.1 ms
        return
    deadline = time.monotonic() + _GRACE
    while (extra or open_files() > files) and time.monotonic() < deadline:
        time.sleep(0.01)
        extra = _extra_threads(threads)
        if not extra and open_files() > files:
            gc.collect()  # transports and loops are in cycles
    assert not extra, f"the test left threads running: {extra}"
    now = open_files()
    assert now <= files, f"the test left {now - files} files open, of {file_names()}"


def _extra_threads(before: set[threading.Thread]) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t not in before and not _idle_worker(t)]


@pytest.fixture(autouse=True)
def io_loop(request: pytest.FixtureRequest, nothing_stays: None) -> Iterator[IOLoop]:
    """The loop of the test; it must be empty when the test ends."""
    loop = _new_loop(request.node.get_closest_marker("virtual_time") is not None)
    asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
    complaints: list[dict[str, Any]] = []
    asyncio_loop.set_exception_handler(lambda _, context: complaints.append(context))
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


def pytest_configure(config: pytest.Config) -> None:
    """Keep what the tests of promises reach, if it is asked for."""
    if figures.path() is not None:
        config.pluginmanager.register(figures)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Remember how it went, for `pytest_unconfigure`."""
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End even if a test that failed has left a thread running: the interpreter would wait."""
    here = threading.current_thread()
    left = [t for t in threading.enumerate() if t is not here and not t.daemon]
    left = [t for t in left if not _idle_worker(t)]
    if left:
        sys.stderr.write(f"ended in spite of these threads: {left}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_STATUS, 1) or 1)


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
