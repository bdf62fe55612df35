import asyncio

from katcp import AsyncDeviceServer, FailReply, Sensor


class Receiver(AsyncDeviceServer):
    """The same receiver, without threads and decorators."""

    VERSION_INFO = ("receiver-api", 1, 1)
    BUILD_INFO = ("receiver", 1, 1, "")

    def setup_sensors(self):
        self.gain = Sensor.float("rx.gain", "Gain of the amplifier.", "dB", [0, 60], default=20.0)
        self.mode = Sensor.discrete("rx.mode", "Mode.", "", ["idle", "tuned"])
        self.count = Sensor.integer("rx.count", "Settings so far.", "", [0, 1000])
        for sensor in (self.gain, self.mode, self.count):
            self.add_sensor(sensor)

    def request_gain(self, req, gain: float) -> float:
        """Set the gain of the amplifier to GAIN (dB)."""
        if not 0 <= gain <= 60:
            raise FailReply("The gain is 0 to 60 dB.")
        self.gain.set_value(gain)
        self.count.set_value(self.count.value() + 1)
        return gain

    async def request_tune(self, req, megahertz: int, polarisation: str = "h") -> str:
        """Tune to MEGAHERTZ; POLARISATION is h or v."""
        if polarisation not in ("h", "v"):
            raise FailReply("no such polarisation")
        req.inform("tuning")
        await asyncio.sleep(0.05)
        self.mode.set_value("tuned")
        return f"{megahertz} MHz {polarisation}"
