import asyncio
import sys

from katcp.inspecting_client import InspectingClientAsync
from katcp.orders import (
    AdviseLevel,
    Disposition,
    OrderClient,
    ReadOrder,
    Section,
    WaitOrder,
    WriteOrder,
)


async def main(host, port):
    async with InspectingClientAsync(host, port, timeout=5) as client:
        orders = OrderClient(client)
        fill = Section([WriteOrder("valve", "open"), WriteOrder("pump", True, AdviseLevel.FORCE)])
        fill += WaitOrder(0.5)
        look = Section([ReadOrder("pressure")], Disposition.CANNOT_JOIN)

        filling = await orders.execute(fill)
        looking = await orders.execute(look)
        result = await filling
        result.raise_for_failures()
        for outcome in result.outcomes:
            print(outcome.order.type, outcome.order.target_name, outcome.outcome)
        (read,) = (await looking).outcomes
        print("pressure:", read.reading.value)


host, port = sys.argv[1].rsplit(":", 1)
asyncio.run(main(host, int(port)))
