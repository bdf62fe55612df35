import asyncio
import sys

from katcp import AsyncDeviceServer
from katcp.inspecting_client import InspectingClientAsync
from katcp.mirroring import SensorMirror


class Hall(AsyncDeviceServer):
    """Shows the devices of a hall under one address."""

    def setup_sensors(self):
        self.mirrors = []

    def show(self, name, host, port):
        self.mirrors.append(SensorMirror(self, host, port, f"{name}.", requests=True))


async def main(host, port):
    hall = Hall("127.0.0.1", 0)
    hall.show("left", host, port)
    hall.show("right", host, port)  # in a real hall, another heater
    hall.start()
    for mirror in hall.mirrors:
        await mirror.until_synced(timeout=5)
    async with InspectingClientAsync(*hall.bind_address, timeout=5) as client:
        print(*sorted(client.sensors))
        reply, _informs = await client.simple_request("left-heat", 45.5)
        print(reply.arguments)
        print(hall.sensors["left.target"].read().value)
    await hall.stop()


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
