"""Scripted devices in a thread of their own, for tests that block as scripts of users do."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from tests.helpers.scripted import PATIENCE, Server

D = TypeVar("D", bound=Server)


class Threaded(Generic[D]):
    """A scripted device whose loop runs in another thread.

    Attributes
    ----------
    device : Server
        To be touched by `call` and `run` only, but for plain attributes.
    """

    def __init__(self, device: D) -> None:
        self.device = device
        self.host = device.host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted device")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.device.port

    def __enter__(self) -> Threaded[D]:
        self._thread.start()
        self.run(self.device.__aenter__())
        return self

    def __exit__(self, *exc_info: Any) -> None:
        try:
            self.run(self.device.__aexit__(*exc_info))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return the result of a coroutine that runs there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return the result of a function that is called there."""

        async def run() -> Any:
            return function(*args)

        return self.run(run())

    def say(self, *lines: bytes) -> None:
        """Send lines to all clients."""
        self.call(self.device.say, *lines)


@contextlib.contextmanager
def started(client: Any) -> Iterator[Any]:
    """Start a client with a loop of its own; stop it and join its thread at the end."""
    client.auto_reconnect_delay = 0.005
    client.start(timeout=PATIENCE)
    try:
        yield client
    finally:
        if client.running():
            client.stop()
        client.join(timeout=PATIENCE)


def eventually(condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Wait until a condition holds that nothing announces."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.002)


def in_loop(client: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Return the result of a function that is called in the loop of a client, or raise."""

    async def run() -> Any:
        return function(*args)

    loop = client.ioloop.asyncio_loop
    return asyncio.run_coroutine_threadsafe(run(), loop).result(PATIENCE)
