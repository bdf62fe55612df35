import asyncio

from katcp import AsyncDeviceServer, Sensor
from katcp.sensors import AggregateSensor


def total(sensors):
    """Return the sum of the values: the aggregate's next value."""
    return sum(sensor.value() for sensor in sensors)


class Power(AsyncDeviceServer):
    """Measures the power of some units in the background."""

    def setup_sensors(self):
        for number in range(1, 4):
            self.sensors.add(Sensor.float(f"unit{number}.power", "Power of a unit", "W"))
        self.sensors.add(
            AggregateSensor(
                self.sensors,
                Sensor.FLOAT,
                "power",
                "Power of all units",
                "W",
                function=total,
                filter=lambda sensor: sensor.name.endswith(".power"),
            )
        )
        self.add_service_task(self.measure)

    async def measure(self):
        while True:
            for number in range(1, 4):
                self.sensors[f"unit{number}.power"].set_value(100.0 * number)
            await asyncio.sleep(1)

    def request_add_unit(self, req, number: int, watts: float):
        """Add unit NUMBER, which takes WATTS."""
        sensor = Sensor.float(f"unit{number}.power", "Power of a unit", "W")
        sensor.set_value(watts)
        self.sensors.add(sensor)
        return ("ok",)
