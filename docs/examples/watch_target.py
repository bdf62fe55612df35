import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync


async def main(host, port):
    async with InspectingClientAsync(host, port) as client:
        await client.until_synced(timeout=5)
        await client.set_sampling("target", "event")
        async for sensor, reading in client.readings("target"):
            print(sensor.name, reading.value)
            if reading.value >= 20.0:
                break
            await client.simple_request("heat", reading.value + 10.0)


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
