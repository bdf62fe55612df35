"""A device with endpoints that is made to be killed: it is forked anew in a few milliseconds.

``python -m tests.helpers.lock_victim DATABASE`` waits for bytes. For each it forks a device that
keeps its locks in this database, and tells ``pid N``, ``port N`` and ``dead``; see `Breeder`.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from katcp.endpoints import AsyncEndpointServer, KeyValueStore, StoreKey
from tests.helpers import breeder
from tests.helpers.breeder import Breeder, fork_devices

#: Names of the keys of the store.
NAMES = tuple(f"key{number}" for number in range(4))


def main(path: str) -> None:
    """Fork a device for each byte of the standard input."""

    async def serve() -> AsyncEndpointServer:
        store = KeyValueStore("kv", endpoints=[StoreKey(name, initial_value="1") for name in NAMES])
        server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store], persist=path)
        server.start()
        return server

    fork_devices(serve)


def breeding(path: Path) -> contextlib.AbstractContextManager[Breeder]:
    """Run the process that forks such devices; see `breeder.breeding`."""
    return breeder.breeding(__name__, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
