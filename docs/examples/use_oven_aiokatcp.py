import asyncio
import sys

import aiokatcp


class Watcher(aiokatcp.SensorWatcher):
    def __init__(self, client):
        super().__init__(client)
        self.hot = asyncio.Event()

    def sensor_updated(self, name, value, status, timestamp):
        super().sensor_updated(name, value, status, timestamp)
        if name == "temperature" and self.sensors[name].value > 100:
            self.hot.set()


async def use(host, port):
    client = await aiokatcp.Client.connect(host, port)
    watcher = Watcher(client)
    client.add_sensor_watcher(watcher)
    reply, _informs = await client.request("heat", 180)
    print("heating to", reply)
    await watcher.hot.wait()
    print("hot")
    try:
        await client.request("heat", 1000)
    except aiokatcp.FailReply as error:
        print(error)
    client.close()
    await client.wait_closed()


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    asyncio.run(use(host, int(port)))
