import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync
from katcp.proxying import ProxiedDevice, ProxyServer


async def main(host, port):
    north = ProxiedDevice(host, port, "north", without_sensors=("module.*",))
    south = ProxiedDevice(host, port, "south", sensors=("label",), rename_sensors={"label": "note"})
    async with ProxyServer("127.0.0.1", 0, [north, south]) as proxy:
        await proxy.until_synced(timeout=10)
        async with InspectingClientAsync(*proxy.bind_address, timeout=5) as client:
            reply, _informs = await client.simple_request("north-set-label", "seen twice")
            print(reply.arguments)
        print(proxy.sensors["north.label"].value())
        print(*[name for name in proxy.sensors if name.startswith("south.")])
        print(proxy.sensors["proxy.south.connected"].value())


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
