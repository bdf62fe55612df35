import signal
import threading
import time

from katcp import AsyncReply, DeviceServer, FailReply, Sensor
from katcp.kattypes import Float, Int, Str, request, return_reply


class Receiver(DeviceServer):
    """A receiver as one would have written it for katcp-python 0.9."""

    VERSION_INFO = ("receiver-api", 1, 0)
    BUILD_INFO = ("receiver", 1, 0, "")

    def setup_sensors(self):
        self.gain = Sensor.float("rx.gain", "Gain of the amplifier.", "dB", [0, 60], default=20.0)
        self.mode = Sensor.discrete("rx.mode", "Mode.", "", ["idle", "tuned"])
        self.count = Sensor.integer("rx.count", "Settings so far.", "", [0, 1000])
        for sensor in (self.gain, self.mode, self.count):
            self.add_sensor(sensor)

    @request(Float(min=0, max=60))
    @return_reply(Float())
    def request_gain(self, req, gain):
        """Set the gain of the amplifier to GAIN (dB)."""
        self.gain.set_value(gain)
        self.count.set_value(self.count.value() + 1)
        return ("ok", gain)

    @request(Int(), Str(default="h"))
    @return_reply(Str())
    def request_tune(self, req, megahertz, polarisation):
        """Tune to MEGAHERTZ; POLARISATION is h or v."""
        if polarisation not in ("h", "v"):
            raise FailReply("no such polarisation")

        def tune():
            req.inform("tuning")
            time.sleep(0.05)
            self.mode.set_value("tuned")
            req.reply("ok", " ".join([str(megahertz), "MHz", polarisation]))

        threading.Thread(target=tune).start()
        raise AsyncReply


if __name__ == "__main__":
    server = Receiver("127.0.0.1", 7147)
    server.start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    stop.wait()
    server.stop()
    server.join()
