import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync


async def main(host, port):
    async with InspectingClientAsync(host, port, timeout=5) as client:
        readings = client.readings("target")
        await client.set_sampling("target", "event")
        async for sensor, reading in readings:
            print(sensor.name, reading.value)
            if reading.value >= 20.0:
                break
            await client.simple_request("heat", reading.value + 10.0)


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
