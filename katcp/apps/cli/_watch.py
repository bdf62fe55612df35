"""The verb ``watch``: readings as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from katcp.apps.cli._errors import DONE, CommandError, NoConnection
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import UpdateFormat
from katcp.apps.cli._grammar import Pattern, Strategy
from katcp.apps.cli._model import Reading, SensorInfo, parse_readings, reading_record
from katcp.apps.cli._sensors import find_sensors, set_strategy, without_strategy
from katcp.apps.cli._verbs import Here, report
from katcp.errors import KatcpClientError


async def watch(
    here: Here,
    patterns: Sequence[Pattern],
    strategy: Strategy,
    count: int | None = None,
    duration: float | None = None,
) -> int:
    """Print readings of sensors as they come, a line each.

    If the device says that its sensors have changed, those that have come and match are watched
    too.

    Parameters
    ----------
    patterns : sequence of Pattern
    strategy : Strategy
        When a reading is sent.
    count : int, optional
        End after so many readings.
    duration : float, optional
        End after this time [s].
    """
    watching = _Watching(here, patterns, strategy)
    try:
        return await asyncio.wait_for(watching.run(count), duration)
    except asyncio.TimeoutError:
        return watching.status


class _Watching:
    def __init__(self, here: Here, patterns: Sequence[Pattern], strategy: Strategy) -> None:
        self._here = here
        self._asker = here.asker
        self._screen = here.screen
        self._patterns = patterns
        self._strategy = strategy.words(here.asker.major)
        self._sensors: dict[str, SensorInfo] = {}
        # Readings; that the sensors have changed (True); that the connection is lost (None).
        self._queue: asyncio.Queue[Reading | bool | None] = asyncio.Queue()
        self._format = UpdateFormat(here.asker.major)
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
        """Print until `count` readings have come, or the connection is lost."""
        found = await find_sensors(self._asker, self._patterns)
        self.status = report(self._here, found.errors)
        if not found.sensors:
            return self.status
        await self._subscribe(found.sensors, first=True)
        lost = asyncio.ensure_future(self._until_lost())
        printed = 0
        try:
            while count is None or printed < count:
                if self._queue.empty():
                    self._screen.flush()  # nothing more to go out with it
                item = await self._queue.get()
                if item is None:
                    raise NoConnection(self._asker.lost_text())
                if isinstance(item, bool):
                    await self._look_again()
                elif self._print(item):
                    printed += 1
            return self.status
        finally:
            lost.cancel()
            self._screen.flush()

    async def _until_lost(self) -> None:
        try:
            await self._asker.client.until_stopped()
        except KatcpClientError:
            pass
        self._queue.put_nowait(None)

    async def _subscribe(self, sensors: dict[str, SensorInfo], first: bool = False) -> None:
        self._sensors.update(sensors)
        self._format.expect(sensors)
        errors: list[CommandError] = await set_strategy(self._asker, list(sensors), self._strategy)
        if first and len(errors) == len(sensors):
            raise errors[0]
        self.status = report(self._here, errors) or self.status

    async def _look_again(self) -> None:
        """Find out which sensors have come, gone or been replaced, and watch them all again."""
        self._stale = False
        found = (await find_sensors(self._asker, self._patterns)).sensors
        for name in sorted(self._sensors.keys() - found.keys()):
            self._screen.complain(f"sensor {visible(name)} is gone")
        # A sensor that was replaced has lost its strategy without a word.
        known = [name for name in found if name in self._sensors]
        lost = await without_strategy(self._asker, known)
        self._sensors = {name: info for name, info in found.items() if name in self._sensors}
        await self._subscribe(
            {n: info for n, info in found.items() if n in lost or n not in self._sensors}
        )

    def _print(self, reading: Reading) -> bool:
        info = self._sensors.get(reading.name)
        if info is None:
            return False  # sent before the device knew that nobody wants it
        if self._screen.json:
            self._screen.record(reading_record(reading, info, self._asker.major))
        else:
            self._screen.line(self._format.line(reading, info))
        return True
