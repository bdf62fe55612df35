import asyncio

import aiokatcp


class Oven(aiokatcp.DeviceServer):
    """An oven: the device to be brought over."""

    VERSION = "oven-api-1.0"
    BUILD_STATE = "oven-1.0"

    def __init__(self, host, port):
        super().__init__(host, port)
        self.wanted = 20.0
        self.temperature = aiokatcp.Sensor(float, "temperature", "In the oven", "degC", 20.0)
        self.sensors.add(self.temperature)

    async def start(self):
        await super().start()
        self.add_service_task(asyncio.create_task(self.approach()))

    async def approach(self):
        while True:
            here = self.temperature.value
            self.temperature.set_value(here + 0.2 * (self.wanted - here))
            await asyncio.sleep(0.02)

    async def request_heat(self, ctx, celsius: float) -> float:
        """Heat to CELSIUS."""
        if celsius > 250:
            raise aiokatcp.FailReply("The oven does not get that hot.")
        self.wanted = celsius
        return celsius
