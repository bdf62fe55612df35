"""A device with endpoints that is made to be killed: it is forked anew in a few milliseconds.

``python -m tests.helpers.lock_victim DATABASE`` waits for bytes. For each it forks a device that
keeps its locks in this database, and tells ``pid N``, ``port N`` and ``dead``; see `Breeder`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from katcp.endpoints import AsyncEndpointServer, KeyValueStore, StoreKey
from tests.helpers.order_victim import ROOT, Breeder

#: Names of the keys of the store.
NAMES = tuple(f"key{number}" for number in range(4))


async def _serve(path: str) -> None:
    store = KeyValueStore("kv", endpoints=[StoreKey(name, initial_value="1") for name in NAMES])
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store], persist=path)
    server.start()
    os.write(1, b"port %d\n" % server.bind_address[1])
    await asyncio.Event().wait()


def main(path: str) -> None:
    """Fork a device for each byte of the standard input."""
    while os.read(0, 1):
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(_serve(path))
            finally:
                os._exit(3)
        os.write(1, b"pid %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"dead\n")


@contextlib.contextmanager
def breeding(path: Path) -> Iterator[Breeder]:
    """Run the process that forks; it ends with the block, and so does a device that is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.lock_victim", str(path)],
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
