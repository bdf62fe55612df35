"""A script as observers write them: blocking clients, sampled sensors, resources from a thread."""

from __future__ import print_function

import logging
import sys
import threading
import time

import katcp
from katcp import BlockingClient, DeviceServer, Message, Sensor, resource_client
from katcp.core import ProtocolFlags
from katcp.ioloop_manager import IOLoopManager
from katcp.kattypes import (
    Float,
    Int,
    Str,
    concurrent_reply,
    request,
    request_timeout_hint,
    return_reply,
)
from katcp.resource import KATCPSensorReading
from katcp.resource_client import KATCPSensorError
from katcp.sampling import SampleStrategy
from tornado import gen


class Antenna(DeviceServer):
    VERSION_INFO = ("antenna", 2, 1)
    PROTOCOL_INFO = ProtocolFlags(
        5,
        1,
        [
            ProtocolFlags.MULTI_CLIENT,
            ProtocolFlags.MESSAGE_IDS,
            ProtocolFlags.REQUEST_TIMEOUT_HINTS,
        ],  # fmt: skip
    )

    def setup_sensors(self):
        self.add_sensor(Sensor(Sensor.FLOAT, "pos.azim", "Azimuth", "deg", [-180, 180]))
        self.add_sensor(Sensor(Sensor.FLOAT, "pos.elev", "Elevation", "deg", [0, 90]))
        self.add_sensor(Sensor.string("mode", "Mode", default="STOP"))
        self.add_sensor(Sensor.boolean("lock", "Is it on target?"))
        for sensor in self.get_sensors():
            sensor.set_value(sensor.value(), Sensor.NOMINAL)

    @request(Float(min=-180, max=180), Float(min=0, max=90))
    @return_reply()
    def request_target_azel(self, req, azim, elev):
        """Point."""
        self.get_sensor("lock").set_value(False)
        self.get_sensor("pos.azim").set_value(azim)
        self.get_sensor("pos.elev").set_value(elev)
        self.get_sensor("lock").set_value(True)
        return ("ok",)

    @request(Str())
    @return_reply(Str())
    def request_mode(self, req, mode):
        """Set the mode."""
        self.get_sensor("mode").set_value(mode)
        return ("ok", mode)

    @request_timeout_hint(60)
    @request(Float())
    @return_reply()
    @concurrent_reply
    @gen.coroutine
    def request_slew(self, req, seconds):
        """Take a while."""
        yield gen.sleep(seconds)
        raise gen.Return(("ok",))


class Telescope(BlockingClient):
    """Remembers sensors that it samples."""

    def __init__(self, *args, **kwargs):
        super(Telescope, self).__init__(*args, **kwargs)
        self.sensors = {}
        self.sampled = []

    def inform_sensor_status(self, msg):
        """Update sensors."""
        timestamp, count = msg.arguments[:2]
        for i in range(2, 2 + 3 * int(count), 3):
            name, status, value = msg.arguments[i : i + 3]
            sensor = self.sensors.get(name.decode())
            if sensor is not None:
                sensor.set_formatted(timestamp, status, value, self.protocol_flags.major)
                self.sampled.append((sensor.name, sensor.value()))

    def load(self):
        reply, informs = self.blocking_request(Message.request("sensor-list"))
        for inform in informs:
            name, description, units, kind = inform.arguments[:4]
            sensor_type = Sensor.parse_type(kind.decode())
            params = Sensor.parse_params(sensor_type, inform.arguments[4:])
            self.sensors[name.decode()] = Sensor(
                sensor_type, name, description, units, params or None
            )
        return int(reply.arguments[1])

    def req(self, name, *args, **kwargs):
        reply, informs = self.blocking_request(Message.request(name, *args), **kwargs)
        return reply


def strategies():
    """The strategies of a fake telescope, driven without a server."""
    print(sorted(SampleStrategy.SAMPLING_LOOKUP.values()))
    print(sorted(Sensor.SENSOR_TYPE_LOOKUP.keys()))
    manager = IOLoopManager()
    ioloop = manager.get_ioloop()
    manager.start(timeout=5)
    sensor = Sensor.float("x", params=[0, 10])
    sensor.set(1, Sensor.NOMINAL, 1.0)
    seen = []

    def inform(sensor, reading):
        seen.append((sensor.name, reading.value))

    for words in [("event",), ("differential", "2.5"), ("auto",), ("none",)]:
        del seen[:]
        strategy = SampleStrategy.get_strategy(words[0], inform, sensor, *words[1:], ioloop=ioloop)
        print(strategy.get_sampling_formatted(), strategy.get_sampling() == getattr(
            SampleStrategy, words[0].upper()))  # fmt: skip
        ready = threading.Event()
        strategy.start()
        ioloop.add_callback(ready.set)
        ready.wait(5)
        for value in (1.0, 2.0, 5.0, 5.0):
            sensor.set_value(value, timestamp=2)
        ready.clear()
        ioloop.add_callback(ioloop.add_callback, ready.set)
        ready.wait(5)
        print(words[0], [value for _, value in seen])
        strategy.cancel()
        sensor.set(1, Sensor.NOMINAL, 1.0)
    for words in [("nope",), ("period",), ("period", "-1"), ("differential", "x")]:
        try:
            SampleStrategy.get_strategy(words[0], inform, sensor, *words[1:], ioloop=ioloop)
            print("accepted", words)
        except ValueError as error:
            print("refused", words)
    manager.stop(timeout=5)
    manager.join(timeout=5)


def blocking(address):
    telescope = Telescope(*address)
    telescope.start(timeout=5)
    assert telescope.wait_protocol(5)
    print("loaded", telescope.load(), sorted(telescope.sensors))
    print("params", telescope.sensors["pos.azim"].params, telescope.sensors["lock"].type)
    for name in ("pos.azim", "mode"):
        print(telescope.req("sensor-sampling", name, "event").arguments)
    print(telescope.req("target-azel", 12.5, "45").arguments)
    print(telescope.req("target-azel", 12.5, 145).arguments)
    print(telescope.req("mode", "POINT", timeout=5).arguments)
    deadline = time.time() + 5
    while len(telescope.sampled) < 4 and time.time() < deadline:
        time.sleep(0.01)
    print(telescope.sampled)
    reading = telescope.sensors["pos.azim"].read()
    print(reading.value, telescope.sensors["pos.azim"].status() == Sensor.NOMINAL)
    print(telescope.req("slew", 0.3, timeout=0.05).arguments[0])
    try:
        katcp.client.request_check(telescope, RuntimeError, "mode", timeout=5)
    except RuntimeError as error:
        print("checked", str(error).splitlines()[0])
    telescope.stop()
    telescope.join(timeout=5)


def resources(address):
    manager = IOLoopManager()
    manager.setDaemon(True)
    ioloop = manager.get_ioloop()
    manager.start(timeout=5)
    resource = resource_client.KATCPClientResource(
        {"name": "m001", "address": address, "controlled": True}
    )
    resource.set_ioloop(ioloop)
    wrapper = resource_client.IOLoopThreadWrapper(ioloop)
    wrapper.default_timeout = 5
    antenna = resource_client.ThreadSafeKATCPClientResourceWrapper(resource, wrapper)
    antenna.start()
    antenna.until_synced(timeout=5)
    print("synced", antenna.synced, antenna.is_connected(), antenna.name)
    print("hint", antenna.req.slew.timeout_hint, antenna.req.mode.description)
    print("reply", antenna.req.mode("SCAN").succeeded, antenna.sensor.mode.get_value())
    print("strategy", antenna.sensor.pos_azim.set_strategy("event"))
    result = antenna.sensor.pos_azim.wait(12.5, timeout=5)
    print("wait", result)
    seen = []
    antenna.sensor.pos_elev.register_listener(
        lambda received, timestamp, status, value: seen.append((status, value))
    )
    antenna.set_sampling_strategy("pos_elev", "event")
    antenna.req.target_azel(-5, 30)
    print("later", antenna.sensor.pos_azim.wait(lambda reading: reading.value < 0, timeout=5))
    print("seen", seen[-1])
    reading = antenna.sensor.pos_elev.get_reading()
    print("reading", type(reading) is KATCPSensorReading, reading.value, reading.status)
    try:
        antenna.sensor.lock.wait(True, timeout=1)
    except KATCPSensorError as error:
        print("no strategy", type(error).__name__)
    print("bad", antenna.req.target_azel("up", 1).reply.arguments[0])
    listed = antenna.list_sensors("pos")
    print("listed", [sensor.name for sensor in listed])
    antenna.stop()
    antenna.until_stopped(timeout=5)
    manager.stop(timeout=5)
    manager.join(timeout=5)


def main():
    logging.disable(logging.CRITICAL)
    server = Antenna("127.0.0.1", 0)
    server.start(timeout=5)
    blocking(server.bind_address)
    resources(server.bind_address)
    server.stop()
    server.join(timeout=5)
    strategies()
    print("threads", threading.active_count())


if __name__ == "__main__":
    main()
