import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync


def on_state(state, changes):
    """Told of each state; `changes` has the names that were added and removed."""
    if changes is not None:
        print("new sensors:", *sorted(changes.sensors.added))


async def main(host, port):
    client = InspectingClientAsync(host, port, timeout=5)
    client.set_state_callback(on_state)
    async with client:
        await client.set_sampling("target", "event")
        reply, _informs = await client.simple_request("heat", 45.5)
        print(reply.arguments)

        target = await client.future_get_sensor("target")
        print(target.name, target.reading.value, target.units)


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
