import asyncio
import os

from katcp import Sensor
from katcp.orders import AsyncOrderServer, OrderFailed, Pathpoint


class Plant(AsyncOrderServer):
    """A tank: a valve and a pump to move, a pressure to read."""

    VERSION_INFO = ("plant-api", 1, 0)
    BUILD_INFO = ("plant", 1, 0, "")

    def __init__(self, *args, **options):
        super().__init__(*args, journal=os.environ.get("PLANT_JOURNAL"), **options)

    def setup_sensors(self):
        self.valve = Sensor.discrete("valve", "Way into the tank", params=["closed", "open"])
        self.pump = Sensor.boolean("pump", "Whether the pump runs")
        self.pressure = Sensor.float("pressure", "Pressure in the tank", "bar")
        self.add_pathpoint(Pathpoint("valve", self.valve, on_write=self.move_valve))
        self.add_pathpoint(Pathpoint("pump", self.pump, on_write=self.switch_pump))
        self.add_pathpoint(Pathpoint("pressure", self.pressure, on_read=self.measure))

    async def move_valve(self, position, advise):
        await asyncio.sleep(0.2)  # it has to turn

    async def switch_pump(self, on, advise):
        if on and self.valve.value() == "closed":
            raise OrderFailed("interlock", "the valve is closed")

    def measure(self, advise):
        return 2.5 if self.pump.value() else 1.0
