"""The device of the benchmark, written with aiokatcp as its documentation shows.

Run as ``python _servers_aiokatcp.py --sensors N [--uvloop]``; prints ``ready PORT``.
aiokatcp reads the annotations of handlers as objects, so none may be postponed here.
"""

import argparse
import asyncio
import gc

import aiokatcp
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


class Device(aiokatcp.DeviceServer):
    VERSION = "benchmark-1.0"
    BUILD_STATE = "benchmark-1.0.0"

    def __init__(self, host: str, port: int, sensors: int) -> None:
        super().__init__(host, port)
        self.devices: list[aiokatcp.Sensor[float]] = []
        for name in sensor_names(sensors):
            sensor = aiokatcp.Sensor(
                float,
                name,
                description(name),
                "degC",
                default=20.5,
                initial_status=aiokatcp.Sensor.Status.NOMINAL,
            )
            self.sensors.add(sensor)
            self.devices.append(sensor)
        self.value = FIRST_VALUE
        self.position = 0
        self.changing: asyncio.Task[None] | None = None
        self.turns: Turns | None = None

    async def request_add(self, ctx: aiokatcp.RequestContext, x: int, y: int) -> int:
        """Add two integers."""
        return x + y

    async def request_add_async(self, ctx: aiokatcp.RequestContext, x: int, y: int) -> int:
        """Add two integers, in a coroutine."""
        return x + y

    async def request_touch(self, ctx: aiokatcp.RequestContext) -> None:
        """Give every sensor a fresh value."""
        self.value = next_value(self.value)
        for sensor in self.devices:
            sensor.set_value(self.value)

    async def request_change(
        self, ctx: aiokatcp.RequestContext, turns: int, updates: int, among: int
    ) -> None:
        """Set `updates` of the first `among` sensors in each of the next `turns` loop turns."""
        self.changing = asyncio.create_task(self._change(turns, updates, among))

    async def request_shout(self, ctx: aiokatcp.RequestContext) -> None:
        """Send all clients an inform."""
        self.mass_inform("shouted", "Hear, all of you.")

    async def request_longest_turn(self, ctx: aiokatcp.RequestContext) -> int:
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


def further():
    async def request_further(self, ctx):
        pass

    return request_further


async def main(arguments: argparse.Namespace) -> None:
    device = with_requests(Device, arguments.requests, further)
    server = device("127.0.0.1", 0, arguments.sensors)
    await server.start()
    gc.collect()
    if arguments.turns:
        server.turns = turns_of_asyncio()
        spare_the_collector()
    assert server.sockets
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await wait_for_parent()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(serve_arguments()))
