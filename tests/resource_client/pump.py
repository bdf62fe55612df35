"""A device of ours with a few sensors and requests, for resources to meet."""

from __future__ import annotations

from typing import Any

from tornado import gen

from katcp.errors import FailReply
from katcp.kattypes import Float, Str, request, return_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer


class Pump(AsyncDeviceServer):
    VERSION_INFO = ("pump-api", 1, 0)
    BUILD_INFO = ("pump", 1, 0, "")
    PROTOCOL_INFO = ProtocolFlags(5, 0, [b"M", b"I"])

    def __init__(self, port: int = 0) -> None:
        self.heard: list[str] = []
        super().__init__("127.0.0.1", port)

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("pump.speed", "Speed.", "rpm", [0, 100]))
        self.add_sensor(Sensor.float("pump.flow-rate", "Flow.", "l/s", [-1, 1]))
        self.add_sensor(Sensor.timestamp("last-start", "When it was started."))

    def handle_message(self, client_conn: Any, msg: Message) -> Any:
        self.heard.append(" ".join([msg.name, *(a.decode() for a in msg.arguments)]))
        return super().handle_message(client_conn, msg)

    @property
    def sampled(self) -> list[str]:
        """The requests for sampling so far."""
        return [text for text in self.heard if text.startswith("sensor-sampling")]

    @request(Float(), Float())
    @return_reply(Float())
    def request_add(self, req: Any, x: float, y: float) -> Any:
        """Add two numbers."""
        return ("ok", x + y)

    @request(Str())
    @return_reply()
    @gen.coroutine
    def request_fail_late(self, req: Any, text: str) -> Any:
        """Fail, but not at once."""
        req.inform("about to fail")
        yield gen.moment
        raise FailReply(text)

    @request()
    @return_reply()
    @gen.coroutine
    def request_block(self, req: Any) -> Any:
        """Never answer."""
        yield gen.sleep(3600)

    def changed(self) -> None:
        """Say that something has changed."""
        self.mass_inform(Message.inform("interface-changed"))


class Pump4(Pump):
    PROTOCOL_INFO = ProtocolFlags(4, 0, [b"M"])


class PumpBulk(Pump):
    PROTOCOL_INFO = ProtocolFlags(5, 1, [b"M", b"I", b"T", b"B"])
