"""A correlator's control server, as old code writes one, and a blocking client that drives it."""

import logging
import sys
import threading
import time

import tornado.gen
from tornado.ioloop import IOLoop

from katcp import AsyncReply, BlockingClient, DeviceServer, Message, Sensor
from katcp.kattypes import (
    Bool,
    Discrete,
    Float,
    Int,
    Regex,
    Str,
    Timestamp,
    request,
    return_reply,
)

LOGGER = logging.getLogger("servlet")


class CorrSensor(Sensor):
    """A sensor that remembers what it was, and knows how to be in error."""

    def __init__(self, sensor_type, name, description=None, units=None, params=None,
                 default=None, initial_status=None, manager=None):  # fmt: skip
        self.manager = manager
        self.history = []
        super(CorrSensor, self).__init__(
            sensor_type, name, description, units, params, default, initial_status
        )

    def set(self, timestamp, status, value):
        self.history.append((self.STATUSES[status], value))
        super(CorrSensor, self).set(timestamp, status, value)

    def errif(self, condition):
        self.set_value(not condition, Sensor.ERROR if condition else Sensor.NOMINAL)

    def previous_value(self):
        return self.history[-2][1]


class SensorManager(object):
    def __init__(self, servlet):
        self.servlet = servlet
        self.sensors = {}

    def do_sensor(self, sensor_type, name, description, initial=None, unit=""):
        if name in self.sensors:
            self.sensors[name].set_value(initial)
            return self.sensors[name]
        sensor = CorrSensor(
            sensor_type, name, description, unit, None, initial, Sensor.UNKNOWN, manager=self
        )
        self.sensors[name] = sensor
        self.servlet.add_sensor(sensor)
        return sensor


class Servlet(DeviceServer):
    VERSION_INFO = ("instrument-server", 0, 1)
    BUILD_INFO = ("instrument-server", 0, 1, "alpha")

    def __init__(self, *args, **kwargs):
        use_tornado = kwargs.pop("tornado", False)
        super(Servlet, self).__init__(*args, **kwargs)
        if use_tornado:
            self.set_concurrency_options(thread_safe=False, handler_thread=False)
        self.instrument = None
        self.threaded = not use_tornado
        self.extra_versions["config"] = ("c-1.0", None)

    def setup_sensors(self):
        self.manager = SensorManager(self)
        self.manager.do_sensor(Sensor.BOOLEAN, "instrument-present", "Is there one?", False)
        self.add_sensor(Sensor(Sensor.INTEGER, "cnt", "A count", "count", [-10, 10]))
        self.add_sensor(Sensor(float, "gain", "A gain", "dB", [0.0, 100.0], 1.0))
        self.add_sensor(
            Sensor(Sensor.DISCRETE, "mode", "The mode", "", ["narrow", "wide"], default="wide")
        )
        self.get_sensor("gain").set(1234567890, Sensor.NOMINAL, 2.5)

    def setup_metadata(self):
        pass

    @staticmethod
    def _log_excep(excep, msg=""):
        message = msg
        if excep is not None:
            message += "\nException was: {}".format(excep)
        LOGGER.debug(message)
        return "fail", message

    @request(Str(), Str(default="", multiple=True))
    @return_reply(Int())
    def request_initialise(self, req, name, *options):
        """Set up the instrument NAME."""
        if self.instrument is not None:
            return self._log_excep(None, "cannot run ?initialise twice")
        self.instrument = name
        self.manager.do_sensor(Sensor.BOOLEAN, "instrument-present", "", True)
        for i in range(2):
            sensor = self.manager.do_sensor(Sensor.FLOAT, "feng%i.delay" % i, "Delay", 0.5)
            sensor.set_value(float(i), Sensor.WARN if i else Sensor.NOMINAL)
        self.mass_inform(Message.inform("interface-changed"))
        return "ok", len([option for option in options if option])

    @request(Str(), Float(multiple=True))
    @return_reply(Str(multiple=True))
    def request_gain(self, req, source, *values):
        """Set gains of SOURCE."""
        if self.instrument is None:
            return "fail", "... you must first initialise"
        if source == "boom":
            raise RuntimeError("boom")
        return tuple(["ok"] + ["%.2f" % value for value in values])

    @request(Timestamp(), Regex(r"^[a-z]+$"), Discrete(["on", "off"]), Bool(optional=True))
    @return_reply(Timestamp(), Str(), Str(), Bool())
    def request_sync_epoch(self, req, when, word, switch, flag):
        """Many types."""
        return "ok", when, word, switch, bool(flag)

    def request_capture_start(self, req, msg):
        """Start to transmit.

        @param group_name string, of the group.
        """
        group = msg.arguments[0].decode()
        req.inform("starting", group)
        thread = threading.Thread(target=self._capture, args=(req, group))
        thread.start()
        raise AsyncReply

    def _capture(self, req, group):
        time.sleep(0.02)
        if not self.threaded:
            # replies belong into the loop
            self.ioloop.add_callback(req.inform, "started")
            self.ioloop.add_callback(req.reply, "ok", group)
            return
        req.inform("started")
        req.reply("ok", group)

    def request_old_style(self, sock, msg):
        """The first argument is called sock here."""
        return Message.reply("old-style", "ok", sock.client_connection.address is not None)

    @request(include_msg=True)
    @return_reply(Str())
    def request_who(self, req, msg):
        """Show the name."""
        return "ok", msg.name


class ServletClient(BlockingClient):
    def __init__(self, *args, **kwargs):
        self.changes = 0
        self.logged = []
        super(ServletClient, self).__init__(*args, **kwargs)

    def inform_interface_changed(self, msg):
        """Count."""
        self.changes += 1

    def inform_log(self, msg):
        """Remember."""
        self.logged.append(msg.arguments[0])


def show(client, name, *args):
    reply, informs = client.blocking_request(Message.request(name, *args), timeout=5)
    text = str(reply).split("[")[0] + " " + repr(reply.arguments)
    if b"Traceback" in b" ".join(reply.arguments):
        text = text.split(" ")[0] + " " + reply.arguments[1].decode().strip().splitlines()[-1]
    print(text)
    for inform in informs:
        print("   ", inform.name, [a for a in inform.arguments])


def drive(port):
    client = ServletClient("127.0.0.1", port)
    client.setDaemon(True)
    client.start(timeout=5)
    print("protocol", client.wait_protocol(5), client.protocol_flags.major)
    while "katcp-device" not in client.versions:
        time.sleep(0.001)
    print("device", client.versions["katcp-device"])
    for words in [
        ("gain", "a", 1),
        ("initialise", "c856m", "x", "y"),
        ("initialise", "c856m"),
        ("gain", "a", 1, 2.5, "3"),
        ("gain", "a", "loud"),
        ("gain", "boom", 1),
        ("sync-epoch", 1234567890.5, "abc", "on"),
        ("sync-epoch", 1234567890.5, "ABC", "on", 1),
        ("sync-epoch", "x", "abc", "on"),
        ("sync-epoch", 1, "abc", "up", 0),
        ("sync-epoch", 1, "abc"),
        ("capture-start", "c856m"),
        ("old-style",),
        ("who",),
        ("who", "me"),
        ("nonsense",),
        ("sensor-list", "/feng/"),
        ("sensor-list", "gain"),
        ("sensor-value", "gain"),
        ("sensor-list", "none"),
        ("log-level",),
        ("help", "capture-start"),
    ]:
        show(client, *words)
    reply, informs = client.blocking_request(Message.request("sensor-value"))
    print(sorted((i.arguments[2], i.arguments[3], i.arguments[4]) for i in informs))
    reply, informs = client.blocking_request(Message.request("version-list"))
    print([i.arguments for i in informs if i.arguments[0] in (b"config", b"katcp-device")])
    print("changes", client.changes > 0)
    client.stop()
    client.join(timeout=5)
    print("stopped", client.running(), client.is_connected())


def main():
    logging.disable(logging.CRITICAL)
    if "--tornado" in sys.argv:
        loop = IOLoop.current()
        server = Servlet("127.0.0.1", 0, tornado=True)
        server.set_ioloop(loop)
        outcome = []

        def ready():
            server.start()

            def run():
                try:
                    drive(server.bind_address[1])
                    outcome.append(True)
                finally:
                    loop.add_callback(end)

            threading.Thread(target=run).start()

        @tornado.gen.coroutine
        def end():
            yield server.stop()
            loop.stop()

        loop.add_callback(ready)
        loop.start()
        assert outcome
    else:
        server = Servlet("127.0.0.1", 0)
        server.setDaemon(True)
        server.start(timeout=5)
        print("running", server.running())
        drive(server.bind_address[1])
        server.stop(timeout=5)
        server.join(timeout=5)
        print("running", server.running())
    history = server.get_sensor("instrument-present").history
    print("history", history, len(server._sensors), "cnt" in server._sensors)


if __name__ == "__main__":
    main()
