import time

from katcp import AsyncDeviceServer
from katcp.server import blocking


class Camera(AsyncDeviceServer):
    """A camera whose driver blocks."""

    VERSION_INFO = ("camera-api", 1, 0)
    BUILD_INFO = ("camera", 1, 0, "")

    def setup_sensors(self):
        pass

    @blocking
    def request_expose(self, req, seconds: float) -> str:
        """Expose for SECONDS; the reply names the image."""
        time.sleep(seconds)
        return "image-1.fits"
