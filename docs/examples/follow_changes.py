import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync


async def main(host, port):
    async with InspectingClientAsync(host, port) as client:
        async for state, _changes in client.changes():
            print(state)
            if state.synced:
                print(len(client.sensors), "sensor(s):", *sorted(client.sensors))
                break


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
