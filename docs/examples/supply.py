from katcp.endpoints import EndpointServer, Provider, endpoint, remote_command


class PowerSupply(Provider):
    """A power supply; this one has no hardware behind it."""

    def __init__(self, name, **options):
        super().__init__(name, **options)
        self.wanted = 0.0

    @endpoint(type="float", units="A", params=(0, 5), get_on_set=True)
    async def current(self):
        """Current that flows."""
        return self.wanted

    @current.setter
    async def current(self, value):
        self.wanted = value

    @endpoint(type="float", units="K", calibration="25 * {} + 273.15")
    async def temperature(self):
        """Temperature of the heat sink."""
        return 0.1 * self.wanted**2

    @remote_command
    def off(self):
        """Switch it off, whatever was wanted."""
        self.wanted = 0.0


class Rack(EndpointServer):
    """A device with a power supply."""

    VERSION_INFO = ("rack-api", 1, 0)
    BUILD_INFO = ("rack", 1, 0, "")

    def setup_sensors(self):
        self.endpoint_host.add(PowerSupply("magnet"))
