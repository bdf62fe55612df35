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
import sys
from pathlib import Path

from katcp.orders import AsyncOrderServer, Journal, Pathpoint, PathpointTarget
from katcp.server import Sensor
from tests.helpers import breeder
from tests.helpers.breeder import Breeder, fork_devices

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


def main(journal: str, log_name: str) -> None:
    """Fork a device for each byte of the standard input."""
    log = os.open(log_name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def serve() -> AsyncOrderServer:
        many = 100_000
        server = AsyncOrderServer(
            "127.0.0.1", 0, target=_target(log), journal=Journal(journal, keep=many), history=many
        )
        server.start()
        return server

    fork_devices(serve)


def breeding(journal: Path, log: Path) -> contextlib.AbstractContextManager[Breeder]:
    """Run the process that forks such devices; see `breeder.breeding`."""
    return breeder.breeding(__name__, journal, log)


if __name__ == "__main__":
    main(*sys.argv[1:])
