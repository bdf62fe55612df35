"""Measure what a proxy costs: ``python benchmarks/proxy.py [DEVICES:SENSORS[:LEVELS]]...``.

For each scene: one process with all devices, one proxy (or a proxy of four, with two levels), one
client that has ``event`` on all sensors. CPU and memory are those of the proxy that the client
talks to; memory is what it has taken beyond a proxy of nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _cpu import cpu_seconds, resident_bytes, settled_cpu

from katcp.kattypes import concurrent_reply
from katcp.proxying import ProxyServer
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer

#: Scenes that are measured if none is given.
SCENES = ("16:100", "64:1000", "10:10000", "1:100000", "64:1000:2")
#: Updates of all sensors, and requests, of a scene.
UPDATES, REQUESTS = 300_000, 3_000
#: Time between two rounds of updates of a device [s].
PAUSE = 0.05


class Plant(AsyncDeviceServer):
    """A device with many sensors that can be set all at once."""

    sensors_each = 0

    def setup_sensors(self) -> None:
        self.count = 0
        self.sensors.update(
            Sensor.float(f"group{i % 10}.channel-{i}", f"Power in channel {i}", "W")
            for i in range(self.sensors_each)
        )

    @concurrent_reply
    async def request_change(self, req: Any, rounds: int) -> None:
        """Set all sensors, several times."""
        sensors = self.get_sensors()
        for _ in range(rounds):
            for start in range(0, len(sensors), 1000):
                for sensor in sensors[start : start + 1000]:
                    self.count += 1
                    sensor.set_value(self.count * 0.125)
                await asyncio.sleep(0)
            await asyncio.sleep(PAUSE)


class Watched(ProxyServer):
    """A proxy that knows how long it kept its loop at most, in CPU time."""

    longest = 0.0

    async def watch(self) -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(0.0005)
            self.longest = max(self.longest, time.process_time() - before)

    def request_longest(self, req: Any) -> float:
        """Tell it, and begin anew."""
        longest, self.longest = self.longest, 0.0
        return longest


async def plant(devices: int, sensors: int) -> None:
    """Serve devices; print their ports."""
    Plant.sensors_each = sensors
    servers = [Plant("127.0.0.1", 0, lag_warning=None) for _ in range(devices)]
    for server in servers:
        server.start()
    spare()
    print(*[server.bind_address[1] for server in servers], flush=True)
    await asyncio.Event().wait()


async def proxy(ports: Sequence[str]) -> None:
    """Serve a proxy; print its port, and how long it took to be in step."""
    devices = [f"d{i}=127.0.0.1:{port}" for i, port in enumerate(ports)]
    server = Watched("127.0.0.1", 0, devices, lag_warning=None)
    spare()
    begun, before = time.monotonic(), time.process_time()
    server.start()
    watching = asyncio.ensure_future(server.watch())
    await server.until_synced(300)
    took, cpu = time.monotonic() - begun, time.process_time() - before
    watching.cancel()  # it takes as much as all else does while nothing happens
    print(server.bind_address[1], took, cpu, flush=True)
    await asyncio.Event().wait()


def spare() -> None:
    """Do as `katcp-server` does with the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 1_000)


def begin(*arguments: object) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a part; return it with the words it prints."""
    command = [sys.executable, __file__, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()


class Client:
    """A client that is a socket."""

    async def connect(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", port, limit=64 * 1024 * 1024
        )

    async def ask(self, request: bytes) -> list[bytes]:
        self.writer.write(request + b"\n")
        lines = []
        while not (line := await self.reader.readline()).startswith(b"!" + request[1:].split()[0]):
            assert line
            if line.startswith(b"#" + request[1:].split()[0] + b" "):
                lines.append(line)
        assert line.split()[1] == b"ok", line
        return [*lines, line]


async def measure(devices: int, sensors: int, levels: int) -> list[str]:
    """Return the cells of a row."""
    processes = []
    try:
        part, ports = begin("--plant", devices, sensors)
        processes.append(part)
        ends = ports
        if levels == 2:
            quarter = (len(ports) + 3) // 4
            ends = []
            for start in range(0, len(ports), quarter):
                part, words = begin("--proxy", *ports[start : start + quarter])
                processes.append(part)
                ends.append(words[0])
        nothing, _ = begin("--proxy")
        processes.append(nothing)
        empty = resident_bytes(nothing.pid)
        top, (port, took, cpu) = begin("--proxy", *ends)
        processes.append(top)
        memory = resident_bytes(top.pid) - empty
        client = Client()
        await client.connect(int(port))
        longest = float((await client.ask(b"?longest"))[-1].split()[2])
        before, begun = cpu_seconds(top.pid), time.monotonic()
        await asyncio.sleep(2)
        idle = (settled_cpu(top.pid) - before) / (time.monotonic() - begun)
        per_request = await requests(client, top.pid)
        rate, per_update = await updates(client, top.pid, ports, devices * sensors)
        return [
            f"{devices} x {sensors:,}" + (" behind 4 proxies" if levels == 2 else ""),
            f"{float(took):.1f}",
            f"{float(cpu):.1f}",
            f"{longest * 1000:.0f}",
            f"{memory / 1e6:.0f}",
            f"{idle * 100:.1f}",
            f"{rate:,.0f}",
            f"{per_update * 1e6:.1f}",
            f"{per_request * 1e6:.0f}",
        ]
    finally:
        for part in processes:
            part.kill()
            part.wait()


async def requests(client: Client, pid: int) -> float:
    """Return what it costs to pass on a request, and its reply."""
    names = [line.split()[1] for line in (await client.ask(b"?help"))[:-1]]
    name = b"?" + next(name for name in names if re.fullmatch(rb"d0-.*watchdog", name))
    before = settled_cpu(pid)
    for start in range(0, REQUESTS, 100):
        client.writer.write(b"".join(name + b"[%d]\n" % (start + i + 1) for i in range(100)))
        for _ in range(100):
            assert b" ok" in await client.reader.readline()
    return (settled_cpu(pid) - before) / REQUESTS


async def updates(
    client: Client, pid: int, ports: Sequence[str], count: int
) -> tuple[float, float]:
    """Return how many updates came in a second, and the CPU time that each took."""
    lines = await client.ask(b"?sensor-list")
    names = [line.split()[1] for line in lines if b".channel-" in line]
    assert len(names) == count, (len(names), count)
    for start in range(0, len(names), 1000):
        some = b",".join(names[start : start + 1000])
        await client.ask(b"?sensor-sampling " + some + b" event")
    rounds = max(1, UPDATES // count)
    before = settled_cpu(pid)
    begun = time.monotonic()
    plants = [Client() for _ in ports]
    for one, port in zip(plants, ports, strict=True):
        await one.connect(int(port))
        one.writer.write(b"?change %d\n" % rounds)
    seen, rest = 0, b""
    while seen < count * rounds:
        try:
            data = await asyncio.wait_for(client.reader.read(1 << 20), 5)
        except asyncio.TimeoutError:
            break  # a reader that falls behind is sent the newest readings only
        seen += (rest + data).count(b"#sensor-status")
        rest = data[-13:]
        ended = time.monotonic()
    for one in plants:
        one.writer.close()
    return seen / (ended - begun), (settled_cpu(pid) - before) / (count * rounds)


HEAD = (
    "devices x sensors",
    "in step after [s]",
    "CPU for that [s]",
    "longest turn [ms]",
    "memory [MB]",
    "CPU idle [%]",
    "updates/s",
    "CPU/update [us]",
    "CPU/request [us]",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", default=SCENES, metavar="DEVICES:SENSORS[:LEVELS]")
    parser.add_argument("--plant", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--proxy", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plant is not None:
        asyncio.run(plant(*arguments.plant))
    elif arguments.proxy is not None:
        asyncio.run(proxy(arguments.proxy))
    else:
        print("|", " | ".join(HEAD), "|")
        print("|---" * len(HEAD) + "|")
        for scene in arguments.scenes:
            devices, sensors, *levels = map(int, scene.split(":"))
            cells = asyncio.run(measure(devices, sensors, levels[0] if levels else 1))
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
