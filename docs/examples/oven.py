import asyncio

from katcp import AsyncDeviceServer, FailReply, Sensor


class Oven(AsyncDeviceServer):
    """The same oven."""

    VERSION_INFO = ("oven-api", 1, 0)
    BUILD_INFO = ("oven", 1, 0)

    def setup_sensors(self):
        self.wanted = 20.0
        self.temperature = Sensor.float("temperature", "In the oven", "degC", default=20.0)
        self.sensors.add(self.temperature)
        self.add_service_task(self.approach)

    async def approach(self):
        while True:
            here = self.temperature.value()
            self.temperature.set_value(here + 0.2 * (self.wanted - here))
            await asyncio.sleep(0.02)

    def request_heat(self, req, celsius: float) -> float:
        """Heat to CELSIUS."""
        if celsius > 250:
            raise FailReply("The oven does not get that hot.")
        self.wanted = celsius
        return celsius
