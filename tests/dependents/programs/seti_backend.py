"""A KATCP server that passes what subarrays do on to a store, with a command line of its own."""

import json
import logging
import signal
import sys
from optparse import OptionParser

import tornado.gen
import tornado.ioloop

from katcp import AsyncDeviceServer, AsyncReply, Sensor
from katcp.kattypes import Float, Int, Str, request, return_reply

log = logging.getLogger("BLUSE.interface")


class Store(object):
    """What the key-value store would do."""

    def __init__(self):
        self.values = {}
        self.published = []

    def set(self, key, value):
        self.values[key] = value

    def publish(self, channel, message):
        self.published.append((channel, message))


class BLBackendInterface(AsyncDeviceServer):
    """Accepts requests of the telescope's controller."""

    VERSION = "2020-06-19"
    DEVICE_STATUSES = ["ok", "degraded", "fail"]

    def __init__(self, server_host, server_port):
        self.port = server_port
        self.store = Store()
        super(BLBackendInterface, self).__init__(server_host, server_port)

    def start(self):
        """Start the server."""
        super(BLBackendInterface, self).start()
        log.info("started")

    def setup_sensors(self):
        self._device_status = Sensor.discrete(
            "device-status",
            description="Health status of device",
            params=self.DEVICE_STATUSES,
            default="ok",
            initial_status=Sensor.UNKNOWN,
        )
        self.add_sensor(self._device_status)
        self._device_armed = Sensor.boolean(
            "device-armed", description="Is it armed?", initial_status=Sensor.NOMINAL, default=False
        )
        self.add_sensor(self._device_armed)
        self._version = Sensor.string(
            "version", default=self.VERSION, initial_status=Sensor.NOMINAL
        )
        self.add_sensor(self._version)

    @request(Str(), Str(), Int(), Str(), Str())
    @return_reply()
    def request_configure(self, req, product_id, antennas, n_channels, streams_json, proxy):
        """Configure a product."""
        try:
            streams = json.loads(streams_json)
        except ValueError as error:
            return ("fail", "bad streams: %s" % type(error).__name__)
        self.store.set("{}:antennas".format(product_id), antennas.split(","))
        self.store.set("{}:n_channels".format(product_id), n_channels)
        self.store.set("{}:streams".format(product_id), sorted(streams))
        self.store.publish("alerts", "configure:{}".format(product_id))
        return ("ok",)

    @request(Str())
    @return_reply()
    def request_capture_init(self, req, product_id):
        """Init."""

        @tornado.gen.coroutine
        def wait():
            yield tornado.gen.sleep(0.01)
            self._device_armed.set_value(True)
            self.store.publish("alerts", "capture-init:{}".format(product_id))
            req.reply("ok")

        self.ioloop.add_callback(wait)
        raise AsyncReply

    @request(Str())
    @return_reply(Str())
    def request_capture_start(self, req, product_id):
        """Start."""
        self.store.publish("alerts", "capture-start:{}".format(product_id))
        return ("ok", product_id)

    def request_save_data(self, req, msg):
        """Save."""
        self.store.publish("save", b" ".join(msg.arguments))
        return req.make_reply("ok", len(self.store.published))

    def version(self):
        return "BLUSE {}".format(self.VERSION)


@tornado.gen.coroutine
def on_shutdown(ioloop, server):
    """Stop cleanly."""
    print("Shutting down server")
    yield server.stop()
    print(json.dumps(server.store.values, sort_keys=True))
    print([channel for channel, _ in server.store.published])
    ioloop.stop()


def cli(argv):
    usage = "%prog [options]"
    parser = OptionParser(usage=usage)
    parser.add_option("-p", "--port", dest="port", type=int, default=5000)
    parser.add_option("--nodebug", dest="debug", action="store_false", default=True)
    options, _ = parser.parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.CRITICAL)
    return options


def main():
    options = cli(sys.argv[1:])
    server = BLBackendInterface("localhost", options.port)
    ioloop = tornado.ioloop.IOLoop.current()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number,
            lambda sig, frame: ioloop.add_callback_from_signal(on_shutdown, ioloop, server),
        )

    def start_and_display():
        server.start()
        print("listening at port {}".format(server.bind_address[1]))
        sys.stdout.flush()

    ioloop.add_callback(start_and_display)
    ioloop.start()


if __name__ == "__main__":
    main()
