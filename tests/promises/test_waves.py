"""Connections in waves (F1): all who come are greeted, and all who stay are served."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.helpers import figures
from tests.helpers.plant import plant
from tests.helpers.serving import talking
from tests.helpers.sizes import sizes
from tests.helpers.wire import WireClient

pytestmark = pytest.mark.slow

WAVES = 5


@sizes("connections_in_waves", 300, 5000)
async def test_f1_all_who_come_in_waves_are_greeted(connections_in_waves: int) -> None:
    # One file each here, and one at the other end.
    allowed = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else connections_in_waves
    if 0 < allowed < connections_in_waves + 100:
        pytest.skip(f"no more than {allowed} files may be open: see `ulimit -n`")
    await _waves(connections_in_waves)


async def _waves(count: int) -> None:
    clients: list[WireClient] = []
    with plant(20) as factory:
        async with talking(factory) as other:  # type: ignore[arg-type]
            begun = time.monotonic()
            for wave in range(WAVES):
                coming = [
                    asyncio.ensure_future(WireClient.connect(factory.bind_address))
                    for _ in range(count // WAVES)
                ]
                # Who is there already is served all the while.
                while not all(task.done() for task in coming):
                    assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
                clients += [task.result() for task in coming]
                there = (await other.ask(b"?clients[1]"))[-1]
                assert there == b"!clients[1] ok %d" % (len(clients) + 1), wave
            figures.note("all greeted after", time.monotonic() - begun, "s")
            # Those of every wave are served, of the first as of the last.
            for client in clients:
                client.writer.write(b"?watchdog[7]\n")
            for client in clients:
                assert await client.line(60) == b"!watchdog[7] ok"
            figures.note("the device has for each", factory.memory / 1024 / count, "kB")
            for client in clients:
                client.writer.transport.abort()
            while (await other.ask(b"?clients[1]"))[-1] != b"!clients[1] ok 1":
                pass
    await asyncio.gather(*(client.close() for client in clients))
