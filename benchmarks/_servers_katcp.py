"""The device of the benchmark, written with this project.

Run as ``python _servers_katcp.py --sensors N [--uvloop]``; prints ``ready PORT``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from collections.abc import Callable

from _device import (
    FIRST_VALUE,
    Turns,
    description,
    next_value,
    sensor_names,
    serve_arguments,
    spare_the_collector,
    turns_of_asyncio,
    wait_for_parent,
    with_requests,
)

from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, ClientRequestConnection


class Device(AsyncDeviceServer):
    VERSION_INFO = ("benchmark", 1, 0)
    BUILD_INFO = ("benchmark", 1, 0, "")

    def __init__(self, host: str, port: int, sensors: int) -> None:
        self.count = sensors
        self.devices: list[Sensor] = []
        super().__init__(host, port)
        self.value = FIRST_VALUE
        self.position = 0
        self.changing: asyncio.Task[None] | None = None
        self.turns: Turns | None = None

    def setup_sensors(self) -> None:
        for name in sensor_names(self.count):
            sensor = Sensor.float(
                name, description(name), "degC", default=20.5, initial_status=Sensor.NOMINAL
            )
            self.add_sensor(sensor)
            self.devices.append(sensor)

    def request_add(self, req: ClientRequestConnection, x: int, y: int) -> int:
        """Add two integers."""
        return x + y

    async def request_add_async(self, req: ClientRequestConnection, x: int, y: int) -> int:
        """Add two integers, in a coroutine."""
        return x + y

    async def request_touch(self, req: ClientRequestConnection) -> None:
        """Give every sensor a fresh value."""
        self.value = next_value(self.value)
        for sensor in self.devices:
            sensor.set_value(self.value)

    async def request_change(
        self, req: ClientRequestConnection, turns: int, updates: int, among: int
    ) -> None:
        """Set `updates` of the first `among` sensors in each of the next `turns` loop turns."""
        self.changing = asyncio.create_task(self._change(turns, updates, among))

    def request_shout(self, req: ClientRequestConnection) -> None:
        """Send all clients an inform."""
        self.mass_inform(Message.inform("shouted", "Hear, all of you."))

    def request_longest_turn(self, req: ClientRequestConnection) -> int:
        """Return the longest turn of the loop since the last such request [µs]."""
        return self.turns.take() if self.turns else 0

    async def _change(self, turns: int, updates: int, among: int) -> None:
        for _ in range(turns):
            self.value = value = next_value(self.value)
            start = self.position % among
            self.position = start + updates
            for sensor in self.devices[start : start + updates]:
                sensor.set_value(value)
            await asyncio.sleep(0)


def further() -> Callable[..., None]:
    def request_further(self: Device, req: ClientRequestConnection) -> None:
        pass

    return request_further


async def main(arguments: argparse.Namespace) -> None:
    kind = Device
    if arguments.rich:  # not imported otherwise: other states of this project may not have it
        from _servers_katcp_rich import rich_device

        kind = rich_device(Device)
    device = with_requests(kind, arguments.requests, further)
    server = device("127.0.0.1", 0, arguments.sensors)
    server.start()
    gc.collect()
    if arguments.turns:
        server.turns = turns_of_asyncio()
        spare_the_collector()
    print("ready", server.bind_address[1], flush=True)
    await wait_for_parent()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(serve_arguments()))
