"""What both devices share: names of sensors, command line, and how they end."""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys

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
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    raise_file_limit()
    if arguments.uvloop:
        use_uvloop()
    return arguments


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
