import asyncio

import oven
import oven_aiokatcp
import use_oven
import use_oven_aiokatcp


async def main():
    device = oven_aiokatcp.Oven("127.0.0.1", 0)
    await device.start()
    print("aiokatcp device, katcp client")
    await use_oven.use(*device.sockets[0].getsockname()[:2])
    await device.stop()

    async with oven.Oven("127.0.0.1", 0) as device:
        print("katcp device, aiokatcp client")
        await use_oven_aiokatcp.use(*device.bind_address[:2])


asyncio.run(main())
