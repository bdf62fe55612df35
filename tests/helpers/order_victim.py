"""A device that takes orders, made to be killed: it is forked anew in a few milliseconds.

``python -m tests.helpers.order_victim JOURNAL LOG`` waits for bytes. For each it forks a device
that has this journal, and tells ``pid N``, ``port N`` when it serves, and ``dead`` in the end. What
orders do is to append their value to the log, which a kill cannot undo.
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
from collections.abc import Iterator
from pathlib import Path

from katcp.orders import AsyncOrderServer, Journal, Pathpoint, PathpointTarget
from katcp.server import Sensor

ROOT = Path(__file__).parents[2]

#: Longest that an order takes before, and after, it does what it does [s].
_TAKES = 0.002


def _target(log: int) -> PathpointTarget:
    async def take_time() -> None:
        await asyncio.sleep(random.uniform(0, _TAKES))

    async def do(value: int) -> None:
        await take_time()
        os.write(log, b"%d\n" % value)
        await take_time()

    async def read(advise: int) -> int:
        await take_time()
        return 1

    async def write(value: int, advise: int) -> None:
        await do(value)

    async def sysctl(op_type: str, op_args: str) -> None:
        await do(int(op_args))

    def make(name: str) -> Pathpoint:
        return Pathpoint(name, Sensor.integer(name), read, write)

    return PathpointTarget(factory=make, sysctl=sysctl)


async def _serve(journal: str, log: int) -> None:
    many = 100_000
    server = AsyncOrderServer(
        "127.0.0.1", 0, target=_target(log), journal=Journal(journal, keep=many), history=many
    )
    server.start()
    os.write(1, b"port %d\n" % server.bind_address[1])
    await asyncio.Event().wait()


def main(journal: str, log_name: str) -> None:
    """Fork a device for each byte of the standard input."""
    log = os.open(log_name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            random.seed()
            try:
                asyncio.run(_serve(journal, log))
            finally:
                os._exit(3)
        os.write(1, b"pid %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


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
def breeding(journal: Path, log: Path) -> Iterator[Breeder]:
    """Run the process that forks; it ends with the block, and so does a device that is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.order_victim", str(journal), str(log)],
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


if __name__ == "__main__":
    main(*sys.argv[1:])
