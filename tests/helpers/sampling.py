"""Clients of a sampling table that write down what they are sent, on a loop with virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import async_solipsism

from katcp.sampling import SamplingTable
from katcp.sensors import Plan, Sensor, parse_strategy


class Listener:
    """A client, as far as sampling is concerned."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.origin = loop.time()
        #: What was sent: (time, name of the sensor, status, value).
        self.seen: list[tuple[float, str, str, str]] = []
        #: Whole lines, and whether each might wait for company.
        self.lines: list[tuple[bytes, bool]] = []

    def send(self, line: bytes) -> None:
        """Take lines that are to go at once."""
        self._take(line, False)

    def send_later(self, line: bytes) -> None:
        """Take a line that may wait a moment."""
        self._take(line, True)

    def _take(self, lines: bytes, patient: bool) -> None:
        assert lines.endswith(b"\n")
        for line in lines[:-1].split(b"\n"):
            self.lines.append((line, patient))
            head, _, count, name, status, value = line.decode().split(" ")
            assert (head, count) == ("#sensor-status", "1")
            self.seen.append((self.loop.time() - self.origin, name, status, value))

    def take(self) -> list[tuple[float, str, str, str]]:
        """Return what was sent since the last call."""
        seen, self.seen = self.seen, []
        return seen

    def values(self) -> list[str]:
        """Return the values sent since the last call."""
        return [value for _, _, _, value in self.take()]


def plan_for(sensor: Sensor, strategy: str, major: int = 5) -> Plan:
    """Parse a strategy as it stands in a request, such as ``event-rate 1 2``."""
    name, *params = strategy.encode().split()
    return parse_strategy(name, params, sensor, major)


def sample(table: SamplingTable, listener: Any, strategy: str, *sensors: Sensor) -> None:
    """Give a client a strategy on some sensors."""
    table.set(listener, sensors, plan_for(sensors[0], strategy, table.major))


@contextmanager
def virtual_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Make a loop whose clock jumps, for tests that need a new one for each example."""
    loop = async_solipsism.EventLoop()
    try:
        yield loop
    finally:
        loop.close()
