import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync


async def main(host, port):
    client = InspectingClientAsync(host, port, timeout=5)
    news = client.changes()
    async with client:
        async for state, _changes in news:
            print(state)
            if state.synced:
                print("sensors:", *sorted(client.sensors))
                break


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
