"""Translators between KATCP and another control system, in both directions."""

import logging
import sys
import threading
import time
import weakref
from functools import partial

import tornado.gen
import tornado.ioloop
from concurrent.futures import Future
from tornado.gen import Return

import katcp
from katcp import DeviceServer, Message, ProtocolFlags, Sensor, inspecting_client, ioloop_manager
from katcp.compat import ensure_native_str
from katcp.core import FailReply
from katcp.kattypes import Bool, Float, Int, Str, request, return_reply
from katcp.server import BASE_REQUESTS

MODULE_LOGGER = logging.getLogger("translator")


# -- the other control system ------------------------------------------------------------


class OtherDevice(object):
    """Has attributes and commands; tells about changes in a thread of its own."""

    def __init__(self):
        self.attributes = {
            "temperature": ("float", 20.5, "C"),
            "running": ("bool", False, ""),
            "count": ("int", 3, ""),
            "mode": ("enum", "AUTO", ["AUTO", "MANUAL"]),
            "label": ("str", "first", ""),
        }
        self.commands = {
            "Add": (("int", "int"), "int"),
            "Reset": ((), None),
            "Echo": (("str",), "str"),
        }
        self.callbacks = []

    def command(self, name, *args):
        if name == "Add":
            return sum(args)
        if name == "Reset":
            self.write("count", 0)
            return None
        if args[0] == "bad":
            raise ValueError("Echo refused")
        return args[0]

    def write(self, name, value):
        kind, _, extra = self.attributes[name]
        self.attributes[name] = (kind, value, extra)

        def tell():
            for callback in self.callbacks:
                callback(name, value, 1500000000.25)

        thread = threading.Thread(target=tell)
        thread.start()
        thread.join()


# -- direction one: a KATCP server for the other device ------------------------------------

KATTYPES = {"float": Float, "int": Int, "bool": Bool, "str": Str}


def attribute_to_sensor(name, kind, value, extra):
    types = {
        "float": Sensor.FLOAT,
        "int": Sensor.INTEGER,
        "bool": Sensor.BOOLEAN,
        "str": Sensor.STRING,
        "enum": Sensor.DISCRETE,
    }
    params = extra if kind == "enum" else None
    units = "" if kind == "enum" else extra
    return Sensor(types[kind], name, "Attribute " + name, units, params, value)


class ProxyServer(DeviceServer):
    VERSION_INFO = ("translator", 1, 0)
    PROTOCOL_INFO = ProtocolFlags(5, 0, set([b"M", b"I"]))

    def setup_sensors(self):
        """Sensors come with the other device."""

    def add_request(self, name, handler):
        """Add a request to this server alone."""
        handler_table = self._request_handlers
        handler_table[name] = partial(handler, self)
        handler_table[name] = handler

    def remove_request(self, name):
        if name in BASE_REQUESTS:
            raise FailReply("not this one")
        del self._request_handlers[name]


class OtherToKatcp(object):
    def __init__(self, server, device):
        self.server = server
        self.device = device
        server._request_handlers = dict(server._request_handlers)
        device.callbacks.append(self.on_change)
        for name, (kind, value, extra) in sorted(device.attributes.items()):
            server.add_sensor(attribute_to_sensor(name, kind, value, extra))
        for name, (args, result) in sorted(device.commands.items()):
            server.add_request(name, self.make_handler(name, args, result))

    def on_change(self, name, value, timestamp):
        self.server.ioloop.add_callback(self._update, name, value, timestamp)

    def _update(self, name, value, timestamp):
        self.server.get_sensor(name).set_value(value, Sensor.NOMINAL, timestamp)

    def make_handler(self, name, args, result):
        device = self.device
        results = [] if result is None else [KATTYPES[result]()]

        def handler(server, req, *arguments):
            try:
                answer = device.command(name, *arguments)
            except Exception as error:
                return ("fail", ensure_native_str(str(error)))
            return ("ok",) if answer is None else ("ok", answer)

        handler.__name__ = "request_" + name
        handler.__doc__ = "Command {} of the other device.".format(name)
        decorated = return_reply(*results)(request(*[KATTYPES[arg]() for arg in args])(handler))
        return decorated


# -- direction two: attributes for a KATCP server -------------------------------------------


class KatcpToOther(object):
    """Keeps attributes in step with a KATCP device."""

    def __init__(self, address):
        self.attributes = {}
        self.commands = {}
        self.states = []
        self.changed = threading.Condition()
        self.ioloop_manager = ioloop_manager.IOLoopManager(managed_default=True)
        self.ioloop = self.ioloop_manager.get_ioloop()
        self.client = inspecting_client.InspectingClientAsync(
            address[0], address[1], ioloop=self.ioloop, initial_inspection=True
        )
        self.client.set_state_callback(self.state_callback)
        self.interface_changes = 0

    def start(self):
        self.ioloop_manager.setDaemon(True)
        self.ioloop_manager.start(timeout=5)
        self.ioloop.add_callback(self.client.connect)

    def stop(self):
        done = Future()

        @tornado.gen.coroutine
        def stop():
            self.client.stop()
            yield self.client.until_stopped(timeout=5)
            done.set_result(True)

        self.ioloop.add_callback(stop)
        done.result(timeout=5)
        self.ioloop_manager.stop(timeout=5)
        self.ioloop_manager.join(timeout=5)

    @tornado.gen.coroutine
    def state_callback(self, state, model_changes):
        with self.changed:
            self.states.append(state)
            self.changed.notify_all()
        if not model_changes:
            return
        sensors = model_changes.get("sensors")
        if sensors is not None:
            for name in sensors.removed:
                self.attributes.pop(name, None)
            for name in sorted(sensors.added):
                sensor = yield self.client.future_get_sensor(name)
                sensor.attach(self)
                self.attributes[name] = [sensor.type, None]
                reply, informs = yield self.client.simple_request("sensor-sampling", name, "event")
                if not reply.reply_ok():
                    MODULE_LOGGER.error("%s", reply)
        requests = model_changes.get("requests")
        if requests is not None:
            for name in sorted(requests.added):
                request_object = yield self.client.future_get_request(name)
                self.commands[name] = request_object.description

    def update(self, sensor, reading):
        with self.changed:
            self.attributes[sensor.name][1] = (sensor.STATUSES[reading.status], reading.value)
            self.changed.notify_all()

    def wait(self, predicate, timeout=5):
        deadline = time.time() + timeout
        with self.changed:
            while not predicate():
                left = deadline - time.time()
                if left <= 0:
                    raise RuntimeError("waited in vain: {}".format(self.attributes))
                self.changed.wait(left)

    def command(self, name, *args):
        """Called from the threads of the other system."""
        future = Future()

        @tornado.gen.coroutine
        def ask():
            try:
                reply, informs = yield self.client.simple_request(name, *args, timeout=5)
                future.set_result((reply, informs))
            except Exception as error:
                future.set_exception(error)

        self.ioloop.add_callback(ask)
        return future.result(timeout=5)


def main():
    logging.disable(logging.CRITICAL)
    device = OtherDevice()
    server = ProxyServer("127.0.0.1", 0)
    server.set_concurrency_options(thread_safe=False, handler_thread=False)
    manager = ioloop_manager.IOLoopManager(managed_default=True)
    manager.setDaemon(True)
    loop = manager.get_ioloop()
    manager.start()
    server.set_ioloop(loop)
    translator = OtherToKatcp(server, device)
    ready = threading.Event()
    loop.add_callback(lambda: (server.start(), ready.set()))
    ready.wait(5)
    back = KatcpToOther(server.bind_address)
    back.start()
    back.wait(lambda: back.states and back.states[-1].synced)
    distinct = [str(s) for i, s in enumerate(back.states) if i == 0 or back.states[i - 1] != s]
    print("states", distinct)
    print("attributes", sorted((n, t, v[1]) for n, (t, v) in back.attributes.items()))
    print("commands", sorted(n for n in back.commands if n not in BASE_REQUESTS))
    print("help", back.commands["Add"])
    device.write("temperature", 21.75)
    device.write("mode", "MANUAL")
    device.write("label", "caf\u00e9 2")
    back.wait(lambda: back.attributes["label"][1][1] == "caf\u00e9 2")
    print("attributes", sorted((n, v) for n, (t, v) in back.attributes.items() if n != "label"))
    for words in [("Add", 2, 3), ("Add", 2, "x"), ("Reset",), ("Echo", "a b"), ("Echo", "bad"),
                  ("Nonsense",)]:  # fmt: skip
        reply, informs = back.command(*words)
        print("command", reply.name, reply.arguments)
    back.wait(lambda: back.attributes["count"][1][1] == 0)
    print("count", back.attributes["count"])
    count = len(back.states)

    def change():
        server.add_sensor(Sensor.boolean("new", "A new one"))
        server.remove_sensor("running")
        server.remove_request("Reset")
        server.mass_inform(Message.inform("interface-changed"))

    loop.add_callback(change)
    back.wait(lambda: len(back.states) > count and back.states[-1].synced)
    back.wait(lambda: "new" in back.attributes and back.attributes["new"][1] is not None)
    print("attributes", sorted(back.attributes))
    print("known", sorted(back.client.sensors), "Reset" in back.client.requests)
    back.stop()
    print("stopped", back.client.is_connected(), back.states[-1].connected)
    stopped = Future()
    loop.add_callback(lambda: stopped.set_result(server.stop()))
    stopped.result(timeout=5).result(timeout=5)
    manager.stop()
    manager.join(timeout=5)
    print("ended")


if __name__ == "__main__":
    main()
