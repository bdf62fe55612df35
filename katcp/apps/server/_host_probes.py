"""What a computer tells about itself, by psutil. Each probe returns frozen items.

Thresholds (warn, error) are constants here; they go out as limits in ``?sensor-list``, so that
clients see them. Probes remember what they need for rates, and take the time as an argument. All
of this may block, so it is called in threads.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import psutil

from katcp.apps.server._items import Item
from katcp.sensors import Sensor

#: Load average for each processor above which it is a warning, an error.
LOAD_WARN, LOAD_ERROR = 1.0, 4.0
#: Use of the processors [%]. All of it is what one has them for, so it is never an error.
CPU_WARN, CPU_ERROR = 95.0, 100.0
#: Use of the memory [%].
MEMORY_WARN, MEMORY_ERROR = 90.0, 97.0
#: Use of the swap space [%].
SWAP_WARN, SWAP_ERROR = 50.0, 90.0
#: Use of a disk [%].
DISK_WARN, DISK_ERROR = 90.0, 97.0
#: Temperatures for which the hardware gives no limits [degC].
HOT_WARN, HOT_ERROR = 80.0, 95.0
#: Charge of a battery that is not being charged [%].
BATTERY_WARN, BATTERY_ERROR = 20.0, 5.0

#: File systems that may hang because they are elsewhere; they are not looked at.
REMOTE = frozenset(["nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "afs", "ceph", "glusterfs"])


class Probe(Protocol):
    """Something that is looked at from time to time."""

    #: Name, for messages.
    group: str

    def read(self, now: float) -> list[Item]:
        """Return all that is to be seen; `now` is a steady time [s]."""


def below(warn: float, error: float) -> tuple[float, ...]:
    """Return the limits of a share in percent that is better low."""
    return (0.0, warn, 0.0, error)


def word(text: str) -> str:
    """Return `text` as a part of a sensor's name: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "unnamed"


class Namer:
    """Gives things names that differ, even if their texts become the same word."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name(self, *texts: str) -> str:
        """Return the words of `texts`, joined by dots, with a number if that was used before."""
        base = ".".join(word(text) for text in texts)
        name, number = base, 2
        while name in self._used:
            name, number = f"{base}-{number}", number + 1
        self._used.add(name)
        return name


class SystemProbe:
    """The system as a whole: name, age, processes."""

    group = "system"

    def read(self, now: float) -> list[Item]:
        """Return boot time, uptime, processes and names."""
        uptime = round(max(0.0, time.time() - psutil.boot_time()), 1)
        system = f"{platform.system()} {platform.release()} {platform.machine()}"
        return [
            Item("boot-time", Sensor.timestamp, psutil.boot_time(), "Time of the last start"),
            Item("uptime", Sensor.float, uptime, "Time since the last start", "s"),
            Item("hostname", Sensor.string, socket.gethostname(), "Name of the computer"),
            Item("system", Sensor.string, system, "Operating system, its release, the machine"),
            Item("processes", Sensor.integer, len(psutil.pids()), "Processes", "count"),
        ]


class ProcessorProbe:
    """Load and use of the processors."""

    group = "processors"

    def __init__(self) -> None:
        self._before: list[tuple[float, float]] = []

    def read(self, now: float) -> list[Item]:
        """Return load averages, use and clock rate."""
        return [*self._load(), *self._use(), *self._frequency()]

    def _load(self) -> Iterator[Item]:
        count = psutil.cpu_count() or 1
        yield Item("cpu.count", Sensor.integer, count, "Processors", "count")
        limits = (0.0, LOAD_WARN * count, 0.0, LOAD_ERROR * count)
        for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
            text = f"Processes that run or wait to run, averaged over {minutes} min"
            yield Item(f"load.{minutes}min", Sensor.float, round(load, 3), text, limits=limits)

    def _use(self) -> Iterator[Item]:
        # psutil.cpu_percent() remembers by thread what it compares with, and threads differ here.
        times = [_busy_and_all(core) for core in psutil.cpu_times(percpu=True)]
        before, self._before = self._before, times
        cores = (
            [share(now, then) for now, then in zip(times, before, strict=False)]
            if len(before) == len(times)
            else [None] * len(times)
        )
        known = [use for use in cores if use is not None]
        total = round(sum(known) / len(known), 2) if known else None
        limits = below(CPU_WARN, CPU_ERROR)
        text = "Use of all processors since the last reading"
        yield Item("cpu.percent", Sensor.float, total, text, "%", limits)
        for number, use in enumerate(cores):
            text = f"Use of processor {number} since the last reading"
            yield Item(f"cpu.{number}.percent", Sensor.float, use, text, "%")

    def _frequency(self) -> Iterator[Item]:
        try:
            frequency = psutil.cpu_freq()
        except (AttributeError, OSError, NotImplementedError):
            return
        if frequency is not None:
            text = "Clock rate of the processors"
            yield Item("cpu.frequency", Sensor.float, float(frequency.current), text, "MHz")


def _busy_and_all(times: Any) -> tuple[float, float]:
    """Return for how long a processor has been busy, and for how long it has been there [s]."""
    # What guests take is part of what their host takes.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    everything = sum(times) - guests
    return everything - times.idle - getattr(times, "iowait", 0.0), everything


def share(now: tuple[float, float], then: tuple[float, float]) -> float | None:
    """Return the use of a processor between two times [%], or None if no time has passed."""
    elapsed = now[1] - then[1]
    if elapsed <= 0:
        return None
    return round(min(100.0, max(0.0, 100 * (now[0] - then[0]) / elapsed)), 1)


class MemoryProbe:
    """Memory and swap space."""

    group = "memory"

    def read(self, now: float) -> list[Item]:
        """Return size and use of memory and swap space."""
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        use = below(MEMORY_WARN, MEMORY_ERROR)
        swap_use = below(SWAP_WARN, SWAP_ERROR)
        absent = Sensor.INACTIVE if swap.total == 0 else None
        whole = Sensor.integer
        return [
            Item("memory.total", whole, memory.total, "Memory", "bytes"),
            Item("memory.available", whole, memory.available, "Memory to be had", "bytes"),
            Item("memory.used", whole, memory.used, "Memory in use", "bytes"),
            Item("memory.percent", Sensor.float, memory.percent, "Use of memory", "%", use),
            Item("swap.total", whole, swap.total, "Swap space", "bytes", status=absent),
            Item("swap.used", whole, swap.used, "Swap space in use", "bytes", status=absent),
            Item(
                "swap.percent",
                Sensor.float,
                swap.percent,
                "Use of swap space",
                "%",
                swap_use,
                absent,
            ),
        ]


class DiskProbe:
    """Disks that are mounted, as far as they are in this computer and can be written."""

    group = "disks"

    def read(self, now: float) -> list[Item]:
        """Return size and use of each disk."""
        items: list[Item] = []
        namer = Namer()
        for place in _places():
            try:
                use = psutil.disk_usage(place)
            except OSError:
                continue  # not for our eyes, or just unmounted
            name = namer.name("disk", "root" if place == "/" else place)
            items += self._disk(name, place, use)
        return items

    def _disk(self, name: str, place: str, use: Any) -> list[Item]:
        limits = below(DISK_WARN, DISK_ERROR)
        return [
            Item(f"{name}.total", Sensor.integer, use.total, f"Size of {place}", "bytes"),
            Item(f"{name}.free", Sensor.integer, use.free, f"Free space of {place}", "bytes"),
            Item(f"{name}.percent", Sensor.float, use.percent, f"Use of {place}", "%", limits),
        ]


def _places() -> list[str]:
    """Return where disks are mounted, each disk once."""
    # In a container the root is no disk of psutil's list, and files may be mounts.
    places = ["/"] if os.name == "posix" else []
    devices = set()
    for part in psutil.disk_partitions(all=False):
        elsewhere = part.fstype in REMOTE or part.fstype.startswith("fuse.")
        if elsewhere or part.device in devices or "ro" in part.opts.split(","):
            continue
        if part.mountpoint not in places and os.path.isdir(part.mountpoint):
            places.append(part.mountpoint)
        devices.add(part.device)
    return places


class NetworkProbe:
    """Network interfaces: traffic, errors, address."""

    group = "network"

    def __init__(self) -> None:
        self._before: tuple[float, dict[str, Any]] | None = None

    def read(self, now: float) -> list[Item]:
        """Return counters and rates of each interface."""
        counters = psutil.net_io_counters(pernic=True)
        states = psutil.net_if_stats()
        addresses = psutil.net_if_addrs()
        elapsed, before = 0.0, {}
        if self._before is not None:
            elapsed, before = now - self._before[0], self._before[1]
        self._before = (now, counters)
        items: list[Item] = []
        namer = Namer()
        for interface in sorted(counters):
            name = namer.name("net", interface)
            items += self._traffic(
                name, interface, counters[interface], before.get(interface), elapsed
            )
            state = states.get(interface)
            if state is not None:
                text = f"Whether {interface} is up"
                items.append(Item(f"{name}.up", Sensor.boolean, state.isup, text))
            address = _address(addresses.get(interface, []))
            if address is not None:
                text = f"Address of {interface}"
                items.append(Item(f"{name}.address", Sensor.address, (address, None), text))
        return items

    def _traffic(
        self, name: str, interface: str, now: Any, before: Any, elapsed: float
    ) -> Iterator[Item]:
        for way, text, field in (
            ("received", "received by", "bytes_recv"),
            ("sent", "sent by", "bytes_sent"),
        ):
            count = getattr(now, field)
            yield Item(f"{name}.{way}", Sensor.integer, count, f"Bytes {text} {interface}", "bytes")
            rate = None
            if before is not None and elapsed > 0:
                # A counter that was reset has gone back; the rate is not negative for that.
                rate = round(max(0, count - getattr(before, field)) / elapsed, 1)
            yield Item(
                f"{name}.{way}-rate", Sensor.float, rate, f"Rate {text} {interface}", "bytes/s"
            )
        lost = now.errin + now.errout + now.dropin + now.dropout
        text = f"Packets of {interface} that were faulty or dropped"
        yield Item(f"{name}.errors", Sensor.integer, lost, text, "packets")


def _address(addresses: Sequence[Any]) -> str | None:
    """Return the first address of an interface, IPv4 before IPv6."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for entry in addresses:
            if entry.family == family:
                return str(entry.address).partition("%")[0]
    return None
