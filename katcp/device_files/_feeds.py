"""What feeds sensors, in the loop of the device: signals, commands, files."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from katcp.aio import event_within
from katcp.device_files._commands import CommandError, run_command
from katcp.device_files._signals import Step, make_signal
from katcp.device_files._spec import CommandOutput, FileContent, Reading, Signal
from katcp.device_files._target import Target, log

#: Commands that run at once, and threads that read files.
_COMMANDS, _THREADS = 16, 4
#: Most of a file that is read [bytes].
MAX_FILE = 64 * 1024
#: A file that cannot be read for so long counts as failed [s].
_PATIENCE = 5.0


@dataclass
class Surroundings:
    """What feeds need of the device.

    Attributes
    ----------
    directory : str
        Where commands run.
    value_of : function
        Returns the value of a sensor, as a float.
    begun : float
        When simulated time began, on the monotonic clock.
    """

    directory: str
    value_of: Callable[[str], float]
    begun: float = field(default_factory=time.monotonic)
    commands: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_COMMANDS))
    threads: concurrent.futures.ThreadPoolExecutor = field(
        default_factory=lambda: concurrent.futures.ThreadPoolExecutor(_THREADS, "device-file")
    )

    def close(self) -> None:
        """Let go of the threads."""
        self.threads.shutdown(wait=False, cancel_futures=True)


class Feed:
    """Feeds sensors that have the same origin, until it is stopped."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.targets: dict[str, Target] = {}
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._keep_on())

    def stop(self) -> list[asyncio.Task[None]]:
        """End; return what is ending."""
        task, self._task = self._task, None
        if task is None:
            return []
        task.cancel()
        return [task]

    def feed(self, targets: Iterable[Target]) -> None:
        """Feed these sensors from now on."""
        self.targets = {target.spec.name: target for target in targets}

    def poke(self) -> None:
        """Read now, rather than when it is time."""
        self._wake.set()

    async def _keep_on(self) -> None:
        try:
            await self.run()
        except Exception:
            log.exception("What feeds %s failed", ", ".join(list(self.targets)[:5]))
            for target in self.targets.values():
                target.fail("the program has a bug; see the log")

    async def run(self) -> None:
        """Feed, for ever."""
        raise NotImplementedError

    async def pause(self, until: float) -> None:
        """Wait until a time of the loop, or until somebody wants a reading at once."""
        left = until - asyncio.get_running_loop().time()
        if left > 0 and not self._wake.is_set():
            await event_within(self._wake, left)
        else:
            await asyncio.sleep(0)
        self._wake.clear()
        if self._task is None:
            # Before Python 3.12, `wait_for` loses a cancellation that comes when what it waits
            # for is there, as the end of a command.
            raise asyncio.CancelledError

    def fail(self, reason: str) -> None:
        """Let none of the sensors have a value."""
        for target in self.targets.values():
            target.fail(reason)


class SignalFeed(Feed):
    """Simulates all sensors that get a new value at the same times."""

    def __init__(self, around: Surroundings, every: float) -> None:
        super().__init__(around)
        self._every = every
        self._steps: dict[str, tuple[Any, Step]] = {}

    def feed(self, targets: Iterable[Target]) -> None:
        """Simulate these sensors; those that are known go on where they are."""
        super().feed(targets)
        steps = {}
        for name, target in self.targets.items():
            signal, kind = target.spec.source, target.spec.kind
            assert isinstance(signal, Signal)
            known = self._steps.get(name)
            if known is not None and known[0] == (signal, kind):
                steps[name] = known
                continue
            step = make_signal(signal, kind, self.around.value_of)
            steps[name] = ((signal, kind), step)
            target.show(step(time.monotonic() - self.around.begun))
        self._steps = steps

    async def run(self) -> None:
        """Give all of them a new value, each time."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + self._every, loop.time())
            await self.pause(due)
            now, stamp = time.monotonic() - self.around.begun, time.time()
            steps = self._steps
            for name, target in self.targets.items():
                target.show(steps[name][1](now), stamp)


class CommandFeed(Feed):
    """Runs a command from time to time; all sensors that read its output share it."""

    def __init__(self, around: Surroundings, origin: CommandOutput) -> None:
        super().__init__(around)
        self._origin = origin

    async def run(self) -> None:
        """Run it, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._origin.every
            try:
                async with self.around.commands:
                    text = await run_command(self._origin.command, self.around.directory)
            except CommandError as error:
                self.fail(str(error))
            else:
                show_all(self.targets, text)
            await self.pause(due)


class FileFeed(Feed):
    """Reads a file from time to time; all sensors that read it share it."""

    def __init__(self, around: Surroundings, origin: FileContent) -> None:
        super().__init__(around)
        self._origin = origin
        self._seen: tuple[int, ...] | None = None
        self._fed: tuple[Target, ...] = ()

    async def run(self) -> None:
        """Read it, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._origin.every
            reading = loop.run_in_executor(self.around.threads, self._look)
            done, _ = await asyncio.wait([reading], timeout=_PATIENCE)
            if not done:
                self.fail("the system does not answer")
            try:
                found = await reading
            except OSError as error:
                self._seen = None
                self.fail(f"cannot read {self._origin.path}: {error.strerror or error}")
            else:
                if found is not None:
                    show_all(self.targets, *found)
            await self.pause(due)

    def _look(self) -> tuple[str, float | None] | None:
        """Return the text of the file and its time; None if it has not changed. In a thread."""
        targets = tuple(self.targets.values())
        with open(self._origin.path, "rb", opener=_open_for_reading) as file:
            stamp = None
            if self._origin.on_change:
                state = os.fstat(file.fileno())
                seen = (state.st_mtime_ns, state.st_size, state.st_ino, state.st_dev)
                if seen == self._seen and targets == self._fed:
                    return None
                self._seen, self._fed = seen, targets
                stamp = state.st_mtime
            text = (file.read(MAX_FILE) or b"").decode("utf-8", "replace")
        return text, stamp


def _open_for_reading(path: str, flags: int) -> int:
    # A pipe that nobody writes to must not hold the thread.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def show_all(targets: dict[str, Target], text: str, timestamp: float | None = None) -> None:
    """Set sensors to what each of them finds in a text."""
    for target in targets.values():
        source = target.spec.source
        assert isinstance(source, Reading)
        target.show_text(text, source.extract, timestamp)
