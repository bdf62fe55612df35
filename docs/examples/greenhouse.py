from katcp import Sensor
from katcp.orders import AsyncOrderServer, MacroHost, Pathpoint


class Greenhouse(AsyncOrderServer):
    """A lamp that orders switch, now or at given times."""

    VERSION_INFO = ("greenhouse-api", 1, 0)
    BUILD_INFO = ("greenhouse", 1, 0, "")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.macros = MacroHost(self, self.order_host)

    def setup_sensors(self):
        lamp = Sensor.boolean("lamp", "Whether the lamp is on")
        self.add_pathpoint(Pathpoint("lamp", lamp, on_write=self.switch))

    async def switch(self, value, advise):
        """Tell the hardware, and return when it has done so."""
