import asyncio
import sys

from katcp import Sensor
from katcp.inspecting_client import InspectingClientAsync, SensorWatcher


def show(sensor, reading):
    """Told of each reading of each sensor."""
    print(sensor.name, reading.value, Sensor.STATUSES[reading.status])


async def main(host, port):
    client = InspectingClientAsync(host, port, timeout=5)
    async with SensorWatcher(client, "event", updated=show) as watcher:
        for celsius in (10, 20):
            await client.simple_request("heat", celsius)
        print("now:", watcher.sensors["target"].value())


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
