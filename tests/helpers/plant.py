"""A device with many sensors in a process of its own, which may be killed and started again.

``python -m tests.helpers.plant PORT SENSORS`` prints ``HOST PORT`` and serves until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from katcp.server import AsyncDeviceServer, Sensor


class Plant(AsyncDeviceServer):
    """Has sensors ``unit.N`` that count, all of them or some, at a pace that is asked for."""

    VERSION_INFO = ("plant", 1, 0)
    announces_clients = False

    def __init__(self, host: str, port: int, sensors: int, **options: Any) -> None:
        self._count = sensors
        self._task: asyncio.Task[None] | None = None
        #: Connections in each second of the loop's clock, from the first.
        self._connections: list[float] = []
        super().__init__(host, port, tb_limit=0, **options)

    def setup_sensors(self) -> None:
        for i in range(self._count):
            self.add_sensor(Sensor.integer(f"unit.{i:05d}", "A counter.", "count"))

    def on_client_connect(self, connection: Any) -> None:
        self._connections.append(time.monotonic())
        super().on_client_connect(connection)

    async def _run(self, per_second: int, count: int) -> None:
        sensors = list(self._sensors.values())
        begun, done = time.monotonic(), 0
        while done < count:
            due = min(count, int((time.monotonic() - begun) * per_second) + 1)
            for number in range(done, due):
                which, turn = number % len(sensors), number // len(sensors)
                sensors[which].set_value(turn + 1)
            done = due
            await asyncio.sleep(0.005)

    def request_run(self, req: Any, per_second: int, count: int) -> None:
        """Set sensors in turn, `count` times in all: the first to 1, the second to 1, ..."""
        self.stop_running()
        self._task = asyncio.get_running_loop().create_task(self._run(per_second, count))

    def request_running(self, req: Any) -> bool:
        """Tell whether sensors are still being set."""
        return self._task is not None and not self._task.done()

    def request_busiest(self, req: Any) -> int:
        """Tell how many clients connected in the busiest second after the first."""
        times = [t for t in self._connections if t > self._connections[0] + 1]
        counts: dict[int, int] = {}
        for moment in times:
            counts[int(moment)] = counts.get(int(moment), 0) + 1
        return max(counts.values(), default=0)

    def request_clients(self, req: Any) -> int:
        """Tell how many clients there are."""
        return len(self._server.connections)

    async def request_wait(self, req: Any, seconds: float) -> None:
        """Answer later."""
        await asyncio.sleep(seconds)

    async def request_large(self, req: Any, count: int, length: int) -> int:
        """Send informs of some length."""
        for _ in range(count):
            req.inform("x" * length)
            await req.client_connection.until_writable()
        return count

    def stop_running(self) -> None:
        if self._task is not None:
            self._task.cancel()


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Factory:
    """Starts the device, kills it, starts it again, always at one port."""

    PROTOCOL_INFO = Plant.PROTOCOL_INFO  # for those who read away its greeting

    def __init__(self, sensors: int) -> None:
        self.sensors = sensors
        self.bind_address = ("127.0.0.1", free_port())
        self.process: subprocess.Popen[str] | None = None
        self.measured: psutil.Process

    @property
    def host(self) -> str:
        """Where it listens."""
        return self.bind_address[0]

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.bind_address[1]

    def start(self, wait: bool = True) -> None:
        """Start it, and wait until it listens unless told otherwise."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.plant", str(self.port), str(self.sensors)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.measured = psutil.Process(self.process.pid)
        if wait:
            assert self.process.stdout is not None
            assert self.process.stdout.readline().split() == [self.host, str(self.port)]

    def kill(self) -> None:
        """Kill it, as by ``kill -9``."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            with process:
                process.wait(30)

    def end(self) -> None:
        """Let it end by itself."""
        process, self.process = self.process, None
        if process is not None:
            assert process.poll() is None, "the device has ended"
            with process:
                assert process.stdin is not None
                process.stdin.close()
                assert process.wait(30) == 0

    @property
    def memory(self) -> int:
        """Memory in use [bytes]."""
        return int(self.measured.memory_info().rss)

    @property
    def cpu(self) -> float:
        """Time of the processor used so far [s]."""
        times = self.measured.cpu_times()
        return float(times.user + times.system)

    @property
    def files(self) -> int:
        """Open files and sockets."""
        return int(self.measured.num_fds())


@contextlib.contextmanager
def plant(sensors: int = 10) -> Iterator[Factory]:
    """Run the device; end it with the block."""
    factory = Factory(sensors)
    factory.start()
    try:
        yield factory
    except BaseException:
        factory.kill()
        raise
    factory.end()


async def main(port: int, sensors: int) -> None:
    server = Plant("127.0.0.1", port, sensors)
    server.start()
    print(*server.bind_address, flush=True)  # noqa: T201
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.stop_running()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
