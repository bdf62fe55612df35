"""The device of the benchmark, written with katcp-python as its documentation shows.

Run as ``python _servers_katcp_python.py --sensors N``; prints ``ready PORT``. For Python 3.9, the
last one that katcp-python 0.9.3 and the Tornado that it needs run on.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import Any

from _device import (
    FIRST_VALUE,
    Turns,
    description,
    next_value,
    sensor_names,
    serve_arguments,
    spare_the_collector,
    with_requests,
)
from tornado import gen
from tornado.ioloop import IOLoop

from katcp import AsyncDeviceServer, Message, Sensor
from katcp.kattypes import Int, request, return_reply
from katcp.server import KATCPServer

KATCPServer.BACKLOG = 1024  # 5 else, and a burst of connections waits for the kernel's patience


class Device(AsyncDeviceServer):
    VERSION_INFO = ("benchmark", 1, 0)
    BUILD_INFO = ("benchmark", 1, 0, "")

    def __init__(self, host: str, port: int, sensors: int) -> None:
        self.count = sensors
        self.devices: list[Sensor] = []
        super().__init__(host, port)
        self.value = FIRST_VALUE
        self.position = 0
        self.turns: Turns | None = None

    def setup_sensors(self) -> None:
        for name in sensor_names(self.count):
            sensor = Sensor.float(
                name, description(name), "degC", default=20.5, initial_status=Sensor.NOMINAL
            )
            self.add_sensor(sensor)
            self.devices.append(sensor)

    @request(Int(), Int())
    @return_reply(Int())
    def request_add(self, req, x, y):
        """Add two integers."""
        return ("ok", x + y)

    @request(Int(), Int())
    @return_reply(Int())
    @gen.coroutine
    def request_add_async(self, req, x, y):
        """Add two integers, in a coroutine."""
        raise gen.Return(("ok", x + y))

    @request()
    @return_reply()
    def request_touch(self, req):
        """Give every sensor a fresh value."""
        self.value = next_value(self.value)
        for sensor in self.devices:
            sensor.set_value(self.value)
        return ("ok",)

    @request(Int(), Int(), Int())
    @return_reply()
    def request_change(self, req, turns, updates, among):
        """Set `updates` of the first `among` sensors in each of the next `turns` loop turns."""
        self.ioloop.add_callback(self._change, turns, updates, among)
        return ("ok",)

    @request()
    @return_reply()
    def request_shout(self, req):
        """Send all clients an inform."""
        self.mass_inform(Message.inform("shouted", "Hear, all of you."))
        return ("ok",)

    @request()
    @return_reply(Int())
    def request_longest_turn(self, req):
        """Return the longest turn of the loop since the last such request [us]."""
        return ("ok", self.turns.take() if self.turns else 0)

    @gen.coroutine
    def _change(self, turns, updates, among):
        for _ in range(turns):
            self.value = value = next_value(self.value)
            start = self.position % among
            self.position = start + updates
            for sensor in self.devices[start : start + updates]:
                sensor.set_value(value)
            yield gen.moment


def further():
    @request()
    @return_reply()
    def request_further(self, req):
        return ("ok",)

    return request_further


class TimedPoll:
    """Stands before the object by which a loop of Tornado's asks for events."""

    def __init__(self, poll: Any) -> None:
        self._poll = poll
        self.turns = Turns(poll.poll)
        self.poll = self.turns.wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poll, name)


def turns_of_tornado(ioloop: IOLoop) -> Turns:
    """Return what times the turns of a loop."""
    ioloop._impl = timed = TimedPoll(ioloop._impl)  # noqa: SLF001
    return timed.turns


def main(arguments: argparse.Namespace) -> None:
    """Serve until the standard input closes: the parent is done, or has died."""
    ioloop = IOLoop.current()
    device = with_requests(Device, arguments.requests, further)
    server = device("127.0.0.1", 0, arguments.sensors)

    def ready() -> None:
        if arguments.turns:
            server.turns = turns_of_tornado(ioloop)
            spare_the_collector()
        gc.collect()
        print("ready", server.bind_address[1], flush=True)

    @gen.coroutine
    def readable(file, events):
        if not sys.stdin.buffer.read1(4096):
            ioloop.remove_handler(file)
            yield server.stop()
            ioloop.stop()

    ioloop.add_callback(server.start)
    ioloop.add_callback(ready)
    ioloop.add_handler(sys.stdin.fileno(), readable, ioloop.READ)
    ioloop.start()


if __name__ == "__main__":
    main(serve_arguments())
