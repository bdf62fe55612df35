"""A container of resources with a group, sensors that follow from others, and fakes for tests."""

from __future__ import print_function

import logging
import sys

from tornado import gen
from tornado.ioloop import IOLoop

from katcp import (
    AggregateSensorTree,
    AsyncDeviceServer,
    BooleanSensorTree,
    KATCPClientResourceContainer,
    Message,
    ProtocolFlags,
    Sensor,
)
from katcp.fake_clients import fake_KATCP_client_resource_factory
from katcp.kattypes import Float, Int, Str, request, return_reply
from katcp.resource_client import ClientGroup, KATCPClientResource, monitor_resource_sync_state
from katcp.core import AsyncEvent

log = logging.getLogger("room")


class Dish(AsyncDeviceServer):
    VERSION_INFO = ("dish", 1, 0)
    BUILD_INFO = ("dish", 1, 0, "")
    PROTOCOL_INFO = ProtocolFlags(5, 0, [ProtocolFlags.MULTI_CLIENT, ProtocolFlags.MESSAGE_IDS])

    def __init__(self, number):
        self.number = number
        super(Dish, self).__init__("127.0.0.1", 0)

    def setup_sensors(self):
        self.add_sensor(Sensor.integer("number", default=self.number, initial_status=Sensor.NOMINAL))
        self.add_sensor(Sensor.boolean("stow.ok", "Is it stowed?"))
        self.add_sensor(Sensor.boolean("drive.ok", "Do the drives work?"))
        self.add_sensor(Sensor.boolean("ok", "Is everything well?"))
        self.add_sensor(Sensor.float("total", "Sum of all"))
        self.tree = BooleanSensorTree()
        for name in ("stow.ok", "drive.ok"):
            self.tree.add(self.get_sensor("ok"), self.get_sensor(name))
        self.sums = AggregateSensorTree()
        self.sums.add_delayed(self.get_sensor("total"), self.add_up, ("number", "offset"))
        self.sums.register_sensor(self.get_sensor("number"))

    @staticmethod
    def add_up(parent, children):
        parent.set_value(float(sum(child.value() for child in children)))

    @request(Float())
    @return_reply(Float())
    def request_point(self, req, angle):
        """Point."""
        if self.number == 2 and angle == 85:
            return ("fail", "Not so high.")
        self.get_sensor("stow.ok").set_value(angle == 90)
        return ("ok", angle)


@gen.coroutine
def until(condition, what=""):
    for _ in range(500):
        if condition():
            raise gen.Return(True)
        yield gen.sleep(0.01)
    raise RuntimeError("waited in vain " + what)


@gen.coroutine
def run_container():
    dishes = [Dish(1), Dish(2)]
    for dish in dishes:
        dish.start()
    spec = {
        "name": "room",
        "description": "All dishes",
        "clients": {
            "m00%d" % dish.number: {"address": dish.bind_address, "controlled": True}
            for dish in dishes
        },
        "groups": {"dishes": ["m001", "m002"]},
    }
    room = KATCPClientResourceContainer(spec)
    room.start()
    yield room.until_synced(timeout=5)
    print("connected", room.is_connected(), sorted(room.children), sorted(room.groups))
    first = room.children["m001"]
    print("requests", [name for name in sorted(first.req) if name.endswith("point")])
    print("sensors", sorted(dict.keys(room.sensor))[:3], len(dict.keys(room.sensor)))
    reply = yield first.req.point(45)
    print("reply", reply.succeeded, reply.reply.arguments)
    group = room.groups["dishes"]
    results = yield group.req.point(85)
    print("group", bool(results), sorted((n, r.succeeded) for n, r in results.items()))
    results = yield group.req.point(90)
    print("group", bool(results), isinstance(group, ClientGroup), len(group), group.is_connected())
    result = yield room.set_sampling_strategies("ok$", "event")
    print("strategies", sorted((name, sorted(each)) for name, each in result.items()))
    yield until(lambda: room.sensor.m001_stow_ok.value is True, "stow")
    for dish in dishes:
        dish.get_sensor("drive.ok").set_value(True)
    waited = yield group.wait("ok", True, timeout=5)
    print("wait", bool(waited), sorted(waited.items()))
    dishes[1].get_sensor("drive.ok").set_value(False)
    waited = yield group.wait("ok", lambda reading: not reading.value, timeout=0.2, quorum=1)
    print("wait", bool(waited), sorted(waited.items()))
    listed = yield room.list_sensors("number|total")
    print("listed", [sensor.name for sensor in listed])
    # rules that wait for their sensors
    offset = Sensor.integer("offset", default=10)
    dishes[0].add_sensor(offset)
    dishes[0].sums.register_sensor(offset)
    print("total", dishes[0].get_sensor("total").value())
    offset.set_value(20)
    print("total", dishes[0].get_sensor("total").value())
    dishes[0].mass_inform(Message.inform("interface-changed"))
    yield until(lambda: "m001_offset" in room.sensor, "offset")
    yield room.until_synced(timeout=5)
    states = []
    stop = AsyncEvent()
    monitor = monitor_resource_sync_state(room.children["m002"], states.append, stop)
    yield until(lambda: states[-1:] == [True], "monitor")
    yield dishes[1].stop()
    yield until(lambda: states[-1:] == [False], "loss")
    yield room.until_not_synced(timeout=5)
    print("lost", states, room.is_connected(), room.children["m001"].synced)
    stop.set()
    yield monitor
    room.stop()
    for future in room.until_stopped(timeout=5).values():
        yield future
    yield dishes[0].stop()


class Handlers(object):
    @request(Int(), Int())
    @return_reply(Int())
    def request_add(self, req, x, y):
        """Add two numbers."""
        req.inform("adding", x, y)
        return ("ok", x + y)


@gen.coroutine
def run_fake():
    resource, manager = fake_KATCP_client_resource_factory(
        KATCPClientResource, {}, dict(name="fake", address=("not.there", 9), controlled=True)
    )
    resource.start()
    manager.add_sensors(
        {"speed": ("How fast", "m/s", "float", 0.0, 9.5), "mode": ("Mode", "", "discrete", b"a", b"b")}
    )
    manager.add_request_handlers_object(Handlers())

    def say(req, msg):
        """Say something."""
        return req.make_reply("ok", *msg.arguments)

    manager.add_request_handlers_dict({"say-it": say})
    yield resource.until_synced(timeout=5)
    yield until(lambda: "add" in resource.req and "speed" in resource.sensor, "fake")
    print("fake", sorted(dict.keys(resource.sensor)), resource.sensor.speed.units,
          resource.sensor.mode.type)  # fmt: skip
    reply, informs = yield resource.req.add(2, 3)
    print("fake", reply.arguments, [inform.arguments for inform in informs])
    print("fake", (yield resource.req.say_it("a", 1)).reply.arguments)
    print("fake", resource.req.add.description)


@gen.coroutine
def run():
    yield run_container()
    yield run_fake()


def main():
    logging.disable(logging.CRITICAL)
    IOLoop.current().run_sync(run, timeout=30)


if __name__ == "__main__":
    main()
