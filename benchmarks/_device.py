"""What both devices share: names of sensors, command line, and how they end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

FIRST_VALUE = 100.0


def next_value(value: float) -> float:
    """Return a value that differs from `value` and from those shortly before it.

    Values stay between 100 and 1124, so that their texts stay equally long.
    """
    return value + 0.25 if value < 1124.0 else FIRST_VALUE


def sensor_names(count: int) -> list[str]:
    """Return `count` names of sensors as devices have them, in sorted order."""
    return [
        f"rack{i // 1000:03d}.board{i // 20 % 50:02d}.temperature-{i % 20:02d}"
        for i in range(count)
    ]


def description(name: str) -> str:
    """Return the description of the sensor called `name`."""
    return f"Temperature measured by {name}"


def raise_file_limit() -> None:
    """Allow as many open sockets as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve_arguments() -> argparse.Namespace:
    """Parse the command line of a server, and set the process up accordingly."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sensors", type=int, default=0)
    parser.add_argument("--requests", type=int, default=0, help="further ones that nobody uses")
    parser.add_argument("--turns", action="store_true", help="time the turns of the loop")
    parser.add_argument("--rich", action="store_true", help="with endpoints and orders")
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    raise_file_limit()
    if arguments.uvloop:
        use_uvloop()
    return arguments


def with_requests(device: type, count: int, make: Callable[[], Any]) -> Any:
    """Return a subclass of a device that has many more requests, which `make` makes."""
    more = {}
    for number in range(count):
        handler = more[f"request_further_{number}"] = make()
        handler.__doc__ = f"Do what is seldom done, by way {number}."
    return type("LargerDevice", (device,), more) if more else device


class Turns:
    """How long the longest turn of a loop was since it was last asked for.

    A turn lasts from where the loop has been told of events to where it asks for the next. Taken is
    the CPU time of the thread, which is how long the turn lasts on a core that nobody else uses.
    """

    def __init__(self, wait: Callable[[Any], Any]) -> None:
        self._wait = wait
        self._longest = 0.0
        self._begun = time.thread_time()

    def wait(self, timeout: Any = None) -> Any:
        """Do this where the loop would have asked for events."""
        self._longest = max(self._longest, time.thread_time() - self._begun)
        events = self._wait(timeout)
        self._begun = time.thread_time()
        return events

    def take(self) -> int:
        """Return the longest turn since the last call [µs]."""
        longest, self._longest = self._longest, 0.0
        return int(1e6 * longest)


def spare_the_collector() -> None:
    """Have the garbage collector look at what is new, and hardly ever at everything.

    A full collection takes 100 ms and more with 100,000 sensors, in one turn of the loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 1_000)


def turns_of_asyncio() -> Turns:
    """Return what times the turns of the running loop; uvloop's cannot be timed."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001
    turns = Turns(selector.select)
    selector.select = turns.wait
    return turns


def use_uvloop() -> None:
    """Make uvloop's the event loop of this process."""
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


async def wait_for_parent() -> None:
    """Return when the standard input closes: the parent is done, or has died."""
    loop = asyncio.get_running_loop()
    closed = loop.create_future()

    def readable() -> None:
        if not sys.stdin.buffer.read1(4096):  # type: ignore[union-attr]
            loop.remove_reader(sys.stdin.fileno())
            closed.set_result(None)

    loop.add_reader(sys.stdin.fileno(), readable)
    await closed
