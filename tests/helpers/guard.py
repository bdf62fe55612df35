"""A look at what a program holds: files, threads, tasks, memory, objects; before and after."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
from typing import Any

import psutil

from tests.helpers import figures

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def open_files() -> int:
    """Return how many file descriptors this process has open."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/fd"))
    return int(psutil.Process().num_fds())


def file_names() -> list[str]:
    """Return what the open file descriptors of this process are, where the system tells."""
    names = []
    if sys.platform == "linux":
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # that of the list itself is closed
                names.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(names)


def memory() -> int:
    """Return the memory in use by this process, after giving back what can be [bytes]."""
    gc.collect()
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(psutil.Process().memory_info().rss)


class Holdings:
    """What there is at one moment, on the loop that runs here, if one does."""

    def __init__(self) -> None:
        gc.collect()
        self.files = open_files()
        self.threads = set(threading.enumerate())
        self.tasks = _tasks()
        self.objects = len(gc.get_objects())
        self.memory = memory()

    def __repr__(self) -> str:
        return (
            f"<{self.files} files, {len(self.threads)} threads, {len(self.tasks)} tasks,"
            f" {self.objects} objects, {self.memory >> 10} kB>"
        )


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:
        return set()


class Guard:
    """Checks that in the end there is no more than there was when it was made.

    Examples
    --------
    ::

        guard = Guard()
        ...  # make things, and end them
        await guard.check(memory=1 << 20, objects=50)
    """

    def __init__(self) -> None:
        self.before = self.after = Holdings()
        self._unraisable: list[str] = []
        self._hook, sys.unraisablehook = sys.unraisablehook, self._note

    def _note(self, args: Any) -> None:
        self._unraisable.append(f"{args.err_msg}: {args.exc_value!r} in {args.object!r}")

    async def check(
        self,
        *,
        memory: int | None = None,
        objects: int | None = None,
        files: int = 0,
        timeout: float = 5,
    ) -> None:
        """Fail if there is more, after a while.

        Parameters
        ----------
        memory : int, optional
            How much more memory there may be [bytes]; any if None.
        objects : int, optional
            How many more objects that the garbage collector knows; any if None.
        files : int
            How many more file descriptors.
        timeout : float
            How long what ends may take to do so [s].
        """
        end = time.monotonic() + timeout
        while True:
            problems = self._problems(memory, objects, files)
            if not problems or time.monotonic() > end:
                break
            await asyncio.sleep(0.05)
        sys.unraisablehook = self._hook
        if memory is not None:
            grown = self.after.memory - self.before.memory
            figures.note("memory grew by", max(0, grown / 1024), "kB")
        assert not problems, (problems[:10], self.before)

    def _problems(self, memory: int | None, objects: int | None, files: int) -> list[str]:
        now = self.after = Holdings()
        before = self.before
        problems = [f"nobody took {text}" for text in self._unraisable]
        if now.files > before.files + files:
            problems.append(f"{now.files - before.files} more files are open")
        threads = {t for t in now.threads - before.threads if not t.name.startswith("asyncio_")}
        problems += [f"{thread} runs" for thread in threads]
        if len(now.tasks) > len(before.tasks):
            # Those of before may have been replaced by others of their kind.
            new = [repr(task)[:200] for task in now.tasks - before.tasks]
            problems.append(f"{len(now.tasks) - len(before.tasks)} more tasks: of {new[:5]}")
        if objects is not None and now.objects > before.objects + objects:
            problems.append(f"{now.objects - before.objects} more objects")
        if memory is not None and now.memory > before.memory + memory:
            problems.append(f"{(now.memory - before.memory) >> 10} kB more memory")
        return problems
