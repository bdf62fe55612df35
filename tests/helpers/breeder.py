"""Devices that are made to be killed: a process that is warm forks them in a few milliseconds.

A program of this kind waits for bytes. For each it forks a device, and tells ``pid N``, ``port N``
when that serves, and ``dead`` in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def fork_devices(serve: Callable[[], Awaitable[Any]]) -> None:
    """Fork a device for each byte of the standard input.

    Parameters
    ----------
    serve : coroutine function
        Makes and starts a server, and returns it; the device runs until it is killed.
    """
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            random.seed()
            try:
                asyncio.run(_keep_serving(serve))
            finally:
                os._exit(3)
        os.write(1, b"pid %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


async def _keep_serving(serve: Callable[[], Awaitable[Any]]) -> None:
    server = await serve()
    os.write(1, b"port %d\n" % server.bind_address[1])
    await asyncio.Event().wait()


class Breeder:
    """The process that forks devices, seen from outside.

    Parameters
    ----------
    process : subprocess.Popen
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._rest = b""
        self.pid: int | None = None
        self.port: int | None = None

    def bear(self) -> None:
        """Have a device made; it has begun to run when this returns."""
        self.pid = self.port = None
        os.write(self._in, b"x")
        while self.pid is None:
            assert self.listen(time.monotonic() + 20)

    def listen(self, deadline: float) -> bool:
        """Take the next line, unless a moment of the monotonic clock comes first."""
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                return False
            data = os.read(self._out, 4096)
            assert data, "the process that forks has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        word, _, number = line.decode().partition(" ")
        if word == "pid":
            self.pid = int(number)
        elif word == "port":
            self.port = int(number)
        else:
            self.pid = None
        return True

    def until_serving(self, deadline: float) -> bool:
        """Wait until the device serves, unless a moment of the monotonic clock comes first."""
        while self.port is None:
            if not self.listen(deadline):
                return False
            assert self.pid is not None, "the device has died by itself"
        return True

    def kill(self) -> None:
        """Kill the device, and wait until it is gone."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGKILL)
        while self.pid is not None:
            assert self.listen(time.monotonic() + 20)


@contextlib.contextmanager
def breeding(module: str, *arguments: object) -> Iterator[Breeder]:
    """Run a program that forks devices; it ends with the block, and so does a device that is left.

    Parameters
    ----------
    module : str
        The program, as ``tests.helpers.order_victim``.
    *arguments : object
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        breeder = Breeder(process)
        try:
            yield breeder
        finally:
            if breeder.pid is not None:
                os.kill(breeder.pid, signal.SIGKILL)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(30) == 0
