"""A device in a process of its own, for tests that measure what bad input does to it.

``python -m tests.helpers.victim`` prints ``HOST PORT`` and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers import figures

MB = 1 << 20

#: As long as `re` would need years for a hostile expression.
LONG_NAME = "a" * 64 + "-end"


class Victim(AsyncDeviceServer):
    """Has sensors that change all the time if asked to, and tells how long its loop was blocked."""

    def setup_sensors(self) -> None:
        for i in range(200):
            self.add_sensor(Sensor.string(f"text{i:03d}", "A text."))
        self.add_sensor(Sensor.integer(LONG_NAME, "One with a long name."))
        self._churning: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._lag = 0.0

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        super().loop_started(loop)
        self._watching = loop.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            self._lag = max(self._lag, time.monotonic() - before - 0.005)

    async def _churn(self, size: int) -> None:
        number = 0
        while True:
            number += 1
            for sensor in self.get_sensors()[:-1]:
                sensor.set_value(f"{number} " + "x" * size)
            await asyncio.sleep(0.005)

    def request_churn(self, req: Any, size: int) -> None:
        """Set all sensors all the time to texts of this length; 0: stop that."""
        if self._churning is not None:
            self._churning.cancel()
        self._churning = asyncio.get_running_loop().create_task(self._churn(size)) if size else None

    def request_lag(self, req: Any) -> float:
        """Tell how long the loop was blocked at most since the last time [s]."""
        lag, self._lag = self._lag, 0.0
        return lag

    def request_echo(self, req: Any, *words: bytes) -> tuple[int, bytes]:
        """Count words and give back the first."""
        return len(words), words[0][:100] if words else b""

    def request_text(self, req: Any, text: str) -> int:
        """Count characters."""
        return len(text)

    async def request_add(self, req: Any, x: int, y: float = 0.0) -> float:
        """Add."""
        return x + y


class Process:
    """The victim, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        host, port = process.stdout.readline().split()
        self.bind_address = (host, int(port))
        self.measured = psutil.Process(process.pid)

    PROTOCOL_INFO = Victim.PROTOCOL_INFO  # for those who read away its greeting

    @property
    def memory(self) -> int:
        """Memory in use [bytes]."""
        return int(self.measured.memory_info().rss)

    @property
    def sockets(self) -> int:
        """Open connections."""
        return sum(1 for c in self.measured.net_connections("tcp") if c.status == "ESTABLISHED")


@contextlib.contextmanager
def running() -> Iterator[Process]:
    """Run the victim; at the end it must still be there, and end by itself when told to."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.victim"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Process(process)
        finally:
            assert process.poll() is None, "the server has ended"
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0


@contextlib.contextmanager
def highest_memory(process: Process) -> Iterator[list[int]]:
    """Look at the memory all the time; the list has, at the end, most and what there was before."""
    seen = [process.memory]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            seen.append(process.memory)

    thread = threading.Thread(target=look)
    thread.start()
    result: list[int] = []
    try:
        yield result
    finally:
        done.set()
        thread.join()
        result += [max(seen), seen[0]]
        figures.note("memory rose by", (max(seen) - seen[0]) / MB, "MB")


async def main() -> None:
    server = Victim("127.0.0.1", 0, tb_limit=0, stall_timeout=2.0)
    server.start()
    print(*server.bind_address, flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()
    for task in (server._churning, server._watching):
        if task is not None:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
