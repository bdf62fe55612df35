from katcp import AsyncDeviceServer, FailReply, Sensor


class Heater(AsyncDeviceServer):
    """A heater: one sensor, two requests."""

    VERSION_INFO = ("heater-api", 1, 0)
    BUILD_INFO = ("heater", 1, 0, "")

    def setup_sensors(self):
        self.target = Sensor.float("target", "Wanted temperature", "degC", [0.0, 90.0])
        self.add_sensor(self.target)

    async def request_heat(self, req, celsius: float) -> float:
        """Heat to CELSIUS (0 to 90); the reply repeats it."""
        if not 0 <= celsius <= 90:
            raise FailReply("Wanted temperature is out of range.")
        self.target.set_value(celsius)
        return celsius

    def request_off(self, req):
        """Stop heating."""
        self.target.set_value(0.0, Sensor.INACTIVE)
        return ("ok",)
