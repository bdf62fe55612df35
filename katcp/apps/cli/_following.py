"""Following sensors: their readings as they come, whoever is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from katcp.apps.cli._errors import DONE, CommandError, NoConnection, Refused
from katcp.apps.cli._escape import visible
from katcp.apps.cli._grammar import Pattern, Strategy
from katcp.apps.cli._model import Reading, SensorInfo, parse_readings
from katcp.apps.cli._sensors import find_sensors, set_strategy, without_strategy
from katcp.apps.cli._verbs import Here, report
from katcp.errors import KatcpClientError


class Sink(Protocol):
    """Who is told of readings."""

    def expect(self, sensors: Mapping[str, SensorInfo]) -> None:
        """Take note of sensors whose readings are going to come.

        Raises
        ------
        CommandError
            If they are none for it.
        """

    def take(self, reading: Reading, info: SensorInfo) -> None:
        """Take a reading."""

    def lose(self, name: str) -> None:
        """Take note that a sensor is gone."""

    def flush(self) -> None:
        """Nothing more comes at the moment."""


async def follow(
    here: Here,
    patterns: Sequence[Pattern],
    strategy: Strategy,
    sink: Sink,
    count: int | None = None,
    duration: float | None = None,
) -> int:
    """Have readings of sensors sent; return the exit status in the end.

    If the device says that its sensors have changed, those that have come and match are followed
    too.

    Parameters
    ----------
    patterns : sequence of Pattern
    strategy : Strategy
        When a reading is sent.
    sink : Sink
        Is told of them.
    count : int, optional
        End after so many readings.
    duration : float, optional
        End after this time [s].

    Raises
    ------
    NoConnection
        If the connection is lost.
    Refused
        If there are no such sensors.
    """
    following = _Following(here, patterns, strategy, sink)
    try:
        return await asyncio.wait_for(following.run(count), duration)
    except asyncio.TimeoutError:
        return following.status


class _Following:
    def __init__(
        self, here: Here, patterns: Sequence[Pattern], strategy: Strategy, sink: Sink
    ) -> None:
        self._here = here
        self._asker = here.asker
        self._patterns = patterns
        self._strategy = strategy.words(here.asker.major)
        self._sink = sink
        self._sensors: dict[str, SensorInfo] = {}
        # Readings; that the sensors have changed (True); that the connection is lost (None).
        self._queue: asyncio.Queue[Reading | bool | None] = asyncio.Queue()
        self._stale = False  # whether the device has said that its sensors are others now
        self.status = DONE
        client = self._asker.client
        client.hook_wire_inform("sensor-status", self._take)
        client.hook_wire_inform("interface-changed", self._changed)
        client.hook_wire_inform("device-changed", self._changed)

    def _take(self, arguments: list[bytes]) -> None:
        for reading in parse_readings(arguments, self._asker.major):
            self._queue.put_nowait(reading)

    def _changed(self, arguments: list[bytes]) -> None:
        if not self._stale and arguments[:1] not in ([b"request"], [b"request-list"]):
            self._stale = True  # several announcements are answered by one look
            self._queue.put_nowait(True)

    async def run(self, count: int | None) -> int:
        """Go on until `count` readings have come, or the connection is lost."""
        found = await find_sensors(self._asker, self._patterns)
        self.status = report(self._here, found.errors)
        if not found.sensors:
            return self.status
        await self._subscribe(found.sensors, first=True)
        lost = asyncio.ensure_future(self._until_lost())
        taken = 0
        try:
            while count is None or taken < count:
                if self._queue.empty():
                    self._sink.flush()  # nothing more to go out with it
                item = await self._queue.get()
                if item is None:
                    raise NoConnection(self._asker.lost_text())
                if isinstance(item, bool):
                    await self._look_again()
                    continue
                info = self._sensors.get(item.name)
                if info is not None:  # else sent before the device knew that nobody wants it
                    self._sink.take(item, info)
                    taken += 1
            return self.status
        finally:
            lost.cancel()
            self._sink.flush()

    async def _until_lost(self) -> None:
        try:
            await self._asker.client.until_stopped()
        except KatcpClientError:
            pass
        self._queue.put_nowait(None)

    async def _subscribe(self, sensors: dict[str, SensorInfo], first: bool = False) -> None:
        self._sink.expect(sensors)
        self._sensors.update(sensors)
        errors: list[CommandError] = await set_strategy(self._asker, list(sensors), self._strategy)
        if first and len(errors) == len(sensors):
            raise errors[0]
        self.status = report(self._here, errors) or self.status

    async def _look_again(self) -> None:
        """Find out which sensors have come, gone or been replaced, and follow them all again."""
        self._stale = False
        found = (await find_sensors(self._asker, self._patterns)).sensors
        for name in sorted(self._sensors.keys() - found.keys()):
            self._sink.lose(name)
        # A sensor that was replaced has lost its strategy without a word.
        known = [name for name in found if name in self._sensors]
        lost = await without_strategy(self._asker, known)
        self._sensors = {name: info for name, info in found.items() if name in self._sensors}
        try:
            await self._subscribe(
                {n: info for n, info in found.items() if n in lost or n not in self._sensors}
            )
        except Refused as error:
            self._here.screen.complain(visible(str(error)))
