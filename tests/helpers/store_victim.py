"""A store that is made to be killed: it is forked anew in a few milliseconds.

``python -m tests.helpers.store_victim DATABASE`` waits for bytes. For each it forks a device that
keeps its values in this database, and tells ``pid N``, ``port N`` and ``dead``; see `Breeder`.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from katcp.endpoints import AsyncEndpointServer, KeyValueStore, Persistence, StoreKey
from tests.helpers import breeder
from tests.helpers.breeder import Breeder, fork_devices

#: Longest time for which a value is not on the disk [s].
FLUSH_INTERVAL = 0.4

#: Names of the keys of the store.
NAMES = tuple(f"key{number}" for number in range(12))


def main(path: str) -> None:
    """Fork a device for each byte of the standard input."""

    async def serve() -> AsyncEndpointServer:
        store = KeyValueStore("kv", endpoints=[StoreKey(name) for name in NAMES])
        kept = Persistence(path, flush_interval=FLUSH_INTERVAL)
        server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store], persist=kept)
        server.start()
        return server

    fork_devices(serve)


def breeding(path: Path) -> contextlib.AbstractContextManager[Breeder]:
    """Run the process that forks such devices; see `breeder.breeding`."""
    return breeder.breeding(__name__, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
