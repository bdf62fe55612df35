"""A sidecar that forwards what a KATCP server says of itself to a data base."""

import logging
import sys

import tornado.gen
from tornado.gen import coroutine
from tornado.ioloop import IOLoop

from katcp import AsyncDeviceServer, KATCPClientResource, Message, ProtocolFlags, Sensor
from katcp.kattypes import Int, Str, request, return_reply

log = logging.getLogger("sidecar")


class Device(AsyncDeviceServer):
    VERSION_INFO = ("watched", 1, 0)
    BUILD_INFO = ("watched", 1, 0, "")
    PROTOCOL_INFO = ProtocolFlags(5, 0, set([b"M", b"I"]))

    def setup_sensors(self):
        self.add_sensor(Sensor.integer("a.count", "A count", "", [0, 100], initial_status=1))
        self.add_sensor(Sensor.float("b-level", "A level", "dB"))
        self.add_sensor(Sensor.discrete("state", "A state", "", ["idle", "busy"]))

    @request(Str())
    @return_reply()
    def request_start(self, req, name):
        """Start NAME."""
        self.get_sensor("state").set_value("busy")
        return ("ok",)

    @request(Int())
    @return_reply(Int())
    def request_double(self, req, number):
        """Double NUMBER."""
        return ("ok", 2 * number)


class Database(object):
    def __init__(self):
        self.points = []

    def write(self, name, status, value):
        self.points.append((name, status, value))


class Monitor(object):
    def __init__(self, host, port, database):
        self._client = KATCPClientResource(
            dict(name="monitored", address=(host, port), controlled=True)
        )
        self._database = database
        self._seen = []
        self._informs = []

    @coroutine
    def start(self):
        yield self._client.start()
        yield self._client.until_synced(timeout=5)
        inspecting = self._client._inspecting_client
        inspecting.katcp_client.hook_inform("interface-changed", self._on_change)
        inspecting.katcp_client.hook_inform("note", self._on_note)
        yield self._subscribe()

    def _on_change(self, msg):
        log.debug("changed")
        IOLoop.current().add_callback(self._subscribe)

    def _on_note(self, msg):
        self._informs.append(msg.arguments)

    @coroutine
    def _subscribe(self):
        yield self._client.until_synced(timeout=5)
        sensors = yield self._client.list_sensors()
        for result in sensors:
            name = result.name
            if name in self._seen:
                continue
            self._seen.append(name)
            result.object.register_listener(self._on_sensor, reading=True)
            yield result.object.set_sampling_strategy("event")

    def _on_sensor(self, sensor, reading):
        self._database.write(sensor.name, reading.status, reading.value)

    @coroutine
    def stop(self):
        self._client.stop()
        yield self._client.until_stopped(timeout=5)


@coroutine
def until(condition):
    for _ in range(500):
        if condition():
            raise tornado.gen.Return(True)
        yield tornado.gen.sleep(0.01)
    raise RuntimeError("waited in vain")


@coroutine
def run():
    device = Device("127.0.0.1", 0)
    device.start()
    host, port = device.bind_address
    database = Database()
    monitor = Monitor(host, port, database)
    yield monitor.start()
    client = monitor._client
    yield until(lambda: len(database.points) >= 3)
    print("points", sorted(database.points))
    print("names", sorted(dict.keys(client.sensor)), sorted(client.req)[:3])
    print("sensor", client.sensor.a_count.name, client.sensor.b_level.units,
          client.sensor.state.description, client.sensor.a_count.sampling_strategy)  # fmt: skip
    del database.points[:]
    device.get_sensor("a.count").set_value(7)
    yield client.req.start("x")
    yield until(lambda: len(database.points) >= 2)
    print("points", database.points)
    reply, informs = yield client.req.double(21)
    print("double", reply.arguments, reply.reply_ok(), informs)
    response = yield client.req.double("many")
    print("double", response.succeeded, bool(response), response.reply.arguments)
    print("value", (yield client.sensor.a_count.get_value()), client.sensor.a_count.status)
    listed = yield client.list_sensors("level|state")
    print("listed", [(s.name, s.python_identifier, s.type, s.units) for s in listed])
    listed = yield client.list_sensors(strategy=True, tuple=True)
    print("tuples", [(item[0], item[3], item[4], item[7]) for item in listed])
    device.mass_inform(Message.inform("note", "one", 2))
    device.add_sensor(Sensor.boolean("new", "New"))
    device.mass_inform(Message.inform("interface-changed"))
    yield until(lambda: any(point[0] == "new" for point in database.points))
    device.get_sensor("new").set_value(True)
    yield until(lambda: database.points[-1] == ("new", "nominal", True))
    print("informs", monitor._informs)
    print("wait", (yield client.wait("a_count", 7, timeout=2)),
          (yield client.wait("a_count", lambda reading: reading.value > 50, timeout=0.1)))  # fmt: skip
    print("state", client.is_connected(), client.synced, client.address == (host, port))
    yield monitor.stop()
    print("state", client.is_connected(), client.synced)
    yield device.stop()


def main():
    logging.disable(logging.CRITICAL)
    ioloop = IOLoop.current()
    failed = []

    @coroutine
    def guarded():
        try:
            yield run()
        except Exception:
            logging.disable(logging.NOTSET)
            log.exception("failed")
            failed.append(True)
        ioloop.stop()

    ioloop.add_callback(guarded)
    ioloop.start()
    sys.exit(len(failed))


if __name__ == "__main__":
    main()
