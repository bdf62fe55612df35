import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync, SensorWatcher


class Watcher(SensorWatcher):
    def __init__(self, client):
        super().__init__(client)
        self.hot = asyncio.Event()

    def sensor_updated(self, sensor, reading):
        if sensor.name == "temperature" and reading.value > 100:
            self.hot.set()


async def use(host, port):
    async with InspectingClientAsync(host, port) as client, Watcher(client) as watcher:
        reply, _informs = await client.simple_request("heat", 180)
        print("heating to", reply.arguments[1:])
        await watcher.hot.wait()
        print("hot")
        reply, _informs = await client.simple_request("heat", 1000)
        if not reply.reply_ok():
            print(reply.arguments[1].decode())


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    asyncio.run(use(host, int(port)))
