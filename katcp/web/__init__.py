"""Devices on the web: a live page, a JSON interface, and metrics for Prometheus.

`WebServer` serves them for one device, in the loop of the device. ``katcp-server --http`` does
that; programs of your own do it so::

    async with Heater("127.0.0.1", 7147) as device:
        web = WebServer(device, "127.0.0.1", 8080)
        web.start()
        print(web.url)
        ...
        await web.stop()
"""

from katcp.web._guard import HostRule
from katcp.web._parameters import Parameter, parse_usage
from katcp.web._server import WebServer

__all__ = ["HostRule", "Parameter", "WebServer", "parse_usage"]
