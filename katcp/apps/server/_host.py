"""The host device: real readings of the computer that the program runs on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
import time
from typing import Annotated, Any

import psutil

from katcp._version import __version__
from katcp.aio import event_within
from katcp.apps.server._host_hardware import HardwareProbe
from katcp.apps.server._host_probes import (
    DiskProbe,
    MemoryProbe,
    NetworkProbe,
    Probe,
    ProcessorProbe,
    SystemProbe,
)
from katcp.apps.server._items import SensorBoard
from katcp.kattypes import Float, Int
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, FailReply, blocking

log = logging.getLogger("katcp.apps.server")

#: Range of the time between two readings [s].
FASTEST, SLOWEST = 0.1, 3600.0

_MAJOR, _MINOR = (int(part) for part in __version__.split(".")[:2])


class HostDevice(AsyncDeviceServer):
    """The computer as a device.

    Parameters
    ----------
    update_interval : float
        Time between two readings [s].

    Others are those of `AsyncDeviceServer`.
    """

    VERSION_INFO = ("host-api", 1, 0)
    BUILD_INFO = ("katcp-host", _MAJOR, _MINOR, "")

    def __init__(self, *args: Any, update_interval: float = 1.0, **kwargs: Any) -> None:
        if not FASTEST <= update_interval <= SLOWEST:
            raise ValueError(f"The update interval is {FASTEST:g} to {SLOWEST:g} s.")
        self._interval = update_interval
        self._probes: list[Probe] = [
            SystemProbe(),
            ProcessorProbe(),
            MemoryProbe(),
            DiskProbe(),
            NetworkProbe(),
            HardwareProbe(),
        ]
        self._busy: dict[str, asyncio.Future[Any]] = {}
        self._noted: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        super().__init__(*args, **kwargs)

    def setup_sensors(self) -> None:
        """Make the sensors, by a first look at everything."""
        self._status = Sensor.discrete(
            "device-status", "Overall health of the computer", params=["ok", "degraded", "fail"]
        )
        self._problems = Sensor.string(
            "problems", "Names of the sensors that are not as they should be"
        )
        self._updated = Sensor.timestamp("last-update", "Time of the last reading")
        self._interval_sensor = Sensor.float(
            "update-interval", "Time between two readings", "s", [FASTEST, SLOWEST]
        )
        self._interval_sensor.set_value(self._interval)
        for sensor in (self._status, self._problems, self._updated, self._interval_sensor):
            self.add_sensor(sensor)
        self._board = SensorBoard(self)
        for probe in self._probes:
            try:
                self._board.show(probe.group, probe.read(time.monotonic()), time.time())
            except Exception as error:
                self._note_trouble(probe, error)
        self._sum_up()

    # -- the background task ------------------------------------------------------------

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look at things, in the loop that serves."""
        super().loop_started(loop)
        self._wake = asyncio.Event()
        self._threads = concurrent.futures.ThreadPoolExecutor(len(self._probes), "host-probe")
        self._task = loop.create_task(self._keep_updated())

    def loop_stopping(self) -> None:
        """End the background task."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        self._busy.clear()
        super().loop_stopping()

    async def _keep_updated(self) -> None:
        while True:
            await event_within(self._wake, self._interval)
            self._wake.clear()
            await self._update()

    async def _update(self) -> None:
        """Read everything once, each probe in a thread; what hangs is left behind."""
        loop = asyncio.get_running_loop()
        for probe in self._probes:
            if probe.group not in self._busy:
                self._busy[probe.group] = loop.run_in_executor(
                    self._threads, probe.read, time.monotonic()
                )
        await asyncio.wait(self._busy.values(), timeout=max(1.0, self._interval))
        now = time.time()
        for probe in self._probes:
            future = self._busy[probe.group]
            if not future.done():
                self._board.failed(probe.group, now)
                self._note_trouble(probe, TimeoutError("no answer from the system"))
                continue
            del self._busy[probe.group]
            try:
                self._board.show(probe.group, future.result(), now)
                self._noted.discard(probe.group)
            except Exception as error:
                self._board.failed(probe.group, now)
                self._note_trouble(probe, error)
        self._sum_up()

    def _note_trouble(self, probe: Probe, error: Exception) -> None:
        """Log a failure once, not at every reading."""
        if probe.group not in self._noted:
            self._noted.add(probe.group)
            log.warning("Cannot read the %s: %s: %s", probe.group, type(error).__name__, error)

    def _sum_up(self) -> None:
        names = self._board.by_status()
        warn = names.get(Sensor.WARN, []) + names.get(Sensor.FAILURE, [])
        error = names.get(Sensor.ERROR, [])
        if error:
            self._status.set_value("fail", Sensor.ERROR)
        elif warn:
            self._status.set_value("degraded", Sensor.WARN)
        else:
            self._status.set_value("ok", Sensor.NOMINAL)
        status = self._status.status()
        self._problems.set_value(", ".join([*sorted(error), *sorted(warn)]), status)
        self._updated.set_value(time.time())

    # -- requests -----------------------------------------------------------------------

    def request_set_update_interval(
        self, req: Any, seconds: Annotated[float, Float(min=FASTEST, max=SLOWEST)]
    ) -> float:
        r"""Set the time between two readings [s].

        Returns
        -------
        success : {'ok', 'fail'}
        seconds : float
            The time now in force.

        Examples
        --------
        ::

            ?set-update-interval 0.5
            !set-update-interval ok 0.5
        """
        if math.isnan(seconds):  # which is neither below nor above anything
            raise FailReply("A time is a number.")
        self._interval = seconds
        self._interval_sensor.set_value(seconds)
        self._wake.set()
        return seconds

    @blocking
    def request_process_list(
        self, req: Any, count: Annotated[int, Int(min=1, max=10000)] = 10
    ) -> int:
        """List the processes that use most memory.

        Parameters
        ----------
        count : int
            How many at most.

        Informs
        -------
        pid : int
            Number of the process.
        name : str
        memory : int
            Memory that it has for itself or shares [bytes].
        cpu-time : float
            Time that processors have spent on it [s].

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?process-list 1
            #process-list 1234 python3 104857600 12.5
            !process-list ok 1
        """
        found = []
        for process in psutil.process_iter(["name", "memory_info", "cpu_times"]):
            info = process.info
            memory, times = info["memory_info"], info["cpu_times"]
            if memory is not None and times is not None:
                used = times.user + times.system
                found.append((memory.rss, process.pid, info["name"] or "", round(used, 2)))
        found.sort(reverse=True)
        for memory, pid, name, used in found[:count]:
            req.inform(pid, name, memory, used)
        return len(found[:count])

    @blocking
    def request_disk_usage(self, req: Any, path: str) -> tuple[int, int, int, float]:
        """Tell how full the file system is that a path is on.

        Parameters
        ----------
        path : str
            Of a file or directory, from the root.

        Returns
        -------
        success : {'ok', 'fail'}
        total, used, free : int
            Space [bytes].
        percent : float
            Share of it that is used [%].

        Examples
        --------
        ::

            ?disk-usage /home
            !disk-usage ok 270553174016 24130580480 84813713408 22.1
        """
        try:
            use = psutil.disk_usage(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FailReply(f"Cannot look at {path!r}: {reason}.") from error
        return use.total, use.used, use.free, use.percent
