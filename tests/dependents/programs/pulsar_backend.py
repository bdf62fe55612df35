"""A backend that a master controller drives: an AsyncDeviceServer written with coroutines."""

import logging
import optparse
import signal
import sys
import time

import tornado.gen
import tornado.ioloop

from katcp import AsyncDeviceServer, AsyncReply, FailReply, Message, ProtocolFlags, Sensor
from katcp.kattypes import Bool, Discrete, Float, Int, Str, request, return_reply

log = logging.getLogger("backend")


class BackendError(Exception):
    pass


class Product(object):
    """One observation product with sensors of its own."""

    STATES = ["idle", "preparing", "ready", "starting", "capturing", "stopping", "error"]

    def __init__(self, parent, product_id, n_beams):
        self._parent = parent
        self._id = product_id
        self._n_beams = n_beams
        self._sensors = []
        self._targets = {}
        self.setup_sensors()

    def add_sensor(self, sensor):
        prefix = "{}.".format(self._id)
        if not sensor.name.startswith(prefix):
            sensor.name = "{}{}".format(prefix, sensor.name)
        self._parent.add_sensor(sensor)
        self._sensors.append(sensor)

    def setup_sensors(self):
        self._state_sensor = Sensor.discrete(
            "state",
            description="State of this product",
            params=self.STATES,
            default="idle",
            initial_status=Sensor.NOMINAL,
        )
        self.add_sensor(self._state_sensor)
        self._beams_sensor = Sensor.integer(
            "n-beams", "Number of beams", default=self._n_beams, initial_status=Sensor.NOMINAL
        )
        self.add_sensor(self._beams_sensor)
        self._gain_sensor = Sensor.float(
            "gain", description="Gain", unit="dB", params=[0, 100], default=1.5
        )
        self.add_sensor(self._gain_sensor)
        self._parent.mass_inform(Message.inform("interface-changed"))

    def teardown(self):
        for sensor in self._sensors:
            self._parent.remove_sensor(sensor)
        self._parent.mass_inform(Message.inform("interface-changed"))

    @property
    def idle(self):
        return self._state_sensor.value() == "idle"

    @property
    def ready(self):
        return self._state_sensor.value() == "ready"

    @tornado.gen.coroutine
    def prepare(self):
        if not self.idle:
            raise BackendError("Cannot prepare in state {}".format(self._state_sensor.value()))
        self._state_sensor.set_value("preparing")
        yield tornado.gen.sleep(0.05)
        self._state_sensor.set_value("ready")

    @tornado.gen.coroutine
    def start_capture(self):
        self._state_sensor.set_value("starting")
        yield tornado.gen.moment
        self._state_sensor.set_value("capturing")
        raise tornado.gen.Return(len(self._targets))

    def add_target(self, name, beam):
        self._targets[beam] = name
        self._parent.log.info("target %s on beam %d", name, beam)


class Backend(AsyncDeviceServer):
    """The master server."""

    VERSION_INFO = ("backend-api", 0, 1)
    BUILD_INFO = ("backend-implementation", 0, 1, "rc1")
    DEVICE_STATUSES = ["ok", "degraded", "fail"]
    PROTOCOL_INFO = ProtocolFlags(
        5, 0, set([ProtocolFlags.MULTI_CLIENT, ProtocolFlags.MESSAGE_IDS])
    )

    def __init__(self, ip, port, dummy=False):
        self._products = {}
        self._dummy = dummy
        super(Backend, self).__init__(ip, port)

    def start(self):
        super(Backend, self).start()

    @tornado.gen.coroutine
    def stop(self):
        for product in list(self._products.values()):
            product.teardown()
        self._products = {}
        yield super(Backend, self).stop()

    def setup_sensors(self):
        self._device_status = Sensor.discrete(
            "device-status",
            description="Health status",
            params=self.DEVICE_STATUSES,
            default="ok",
            initial_status=Sensor.NOMINAL,
        )
        self.add_sensor(self._device_status)
        self._local_time = Sensor.timestamp(
            "local-time-synced", "Time at which the clock was last synced", default=1500000000.0
        )
        self.add_sensor(self._local_time)
        self._ip = Sensor.address(
            "ip", "Where this runs", default=("10.0.0.1", 7147), initial_status=Sensor.NOMINAL
        )
        self.add_sensor(self._ip)
        self._products_sensor = Sensor.string(
            "products", "The products", default="", initial_status=Sensor.UNKNOWN
        )
        self.add_sensor(self._products_sensor)

    def _get(self, product_id):
        if product_id not in self._products:
            raise BackendError("No product configured with ID: {}".format(product_id))
        return self._products[product_id]

    def _update_products(self):
        self._products_sensor.set_value(",".join(sorted(self._products)))

    @request(Str(), Int(min=1, max=400), Bool(default=False))
    @return_reply()
    def request_configure(self, req, product_id, n_beams, verbose):
        """Configure PRODUCT-ID with N beams."""
        if product_id in self._products:
            return ("fail", "Product {} is configured".format(product_id))

        @tornado.gen.coroutine
        def configure():
            try:
                yield tornado.gen.sleep(0.02)
                self._products[product_id] = Product(self, product_id, n_beams)
                self._update_products()
            except Exception as error:
                log.exception(str(error))
                req.reply("fail", str(error))
            else:
                if verbose:
                    req.inform("configured", product_id)
                req.reply("ok")

        self.ioloop.add_callback(configure)
        raise AsyncReply

    @request(Str())
    @return_reply()
    @tornado.gen.coroutine
    def request_deconfigure(self, req, product_id):
        """Forget PRODUCT-ID."""
        try:
            product = self._get(product_id)
        except BackendError as error:
            raise tornado.gen.Return(("fail", str(error)))
        product.teardown()
        del self._products[product_id]
        self._update_products()
        raise tornado.gen.Return(("ok",))

    @request(Str())
    @return_reply()
    def request_prepare(self, req, product_id):
        """Prepare PRODUCT-ID."""
        try:
            product = self._get(product_id)
        except BackendError as error:
            return ("fail", str(error))

        @tornado.gen.coroutine
        def wrapper():
            try:
                yield product.prepare()
            except Exception as error:
                req.reply("fail", str(error))
            else:
                req.reply("ok")

        self.ioloop.add_callback(wrapper)
        raise AsyncReply()

    @request(Str())
    @return_reply(Int())
    @tornado.gen.coroutine
    def request_capture_start(self, req, product_id):
        """Start."""
        product = self._products.get(product_id)
        if product is None or not product.ready:
            raise FailReply("Product {} is not ready".format(product_id))
        count = yield product.start_capture()
        raise tornado.gen.Return(("ok", count))

    @request(Str(), Str(), Int())
    @return_reply(Str(), Int())
    def request_target_start(self, req, product_id, target, beam):
        """Point BEAM at TARGET."""
        if product_id not in self._products:
            raise FailReply("no such product")
        self._products[product_id].add_target(target, beam)
        return ("ok", target, beam)

    @request(Str(), Float())
    @return_reply(Float())
    def request_set_gain(self, req, product_id, gain):
        """Set the gain."""
        self._products[product_id]._gain_sensor.set_value(gain, Sensor.WARN)
        return ("ok", gain)

    @request(Discrete(["ok", "degraded", "fail"]))
    @return_reply()
    def request_set_status(self, req, status):
        """Set the health."""
        level = {"ok": Sensor.NOMINAL, "degraded": Sensor.WARN, "fail": Sensor.ERROR}[status]
        self._device_status.set_value(status, level)
        return ("ok",)

    @request(include_msg=True)
    @return_reply(Int())
    def request_product_list(self, req, msg):
        """List products."""
        for product_id in sorted(self._products):
            req.inform(product_id, self._products[product_id]._n_beams)
        return ("ok", len(self._products))

    def request_register(self, req, msg):
        """Undecorated."""
        if not msg.arguments:
            return Message.reply(msg.name, "fail", "need a name")
        return req.make_reply("ok", *msg.arguments)


@tornado.gen.coroutine
def on_shutdown(ioloop, server):
    print("shutting down")
    yield server.stop()
    ioloop.stop()


def main(argv=None):
    parser = optparse.OptionParser()
    parser.add_option("-H", "--host", dest="host", default="127.0.0.1")
    parser.add_option("-p", "--port", dest="port", type=int, default=0)
    parser.add_option("--log-level", dest="log_level", default="WARNING")
    options, _ = parser.parse_args(argv)
    logging.basicConfig(level=options.log_level)
    ioloop = tornado.ioloop.IOLoop.current()
    server = Backend(options.host, options.port)
    signal.signal(
        signal.SIGINT,
        lambda sig, frame: ioloop.add_callback_from_signal(on_shutdown, ioloop, server),
    )

    def start_and_display():
        server.start()
        print("listening at {}:{}".format(*server.bind_address))
        sys.stdout.flush()

    ioloop.add_callback(start_and_display)
    ioloop.start()
    print("ended")


if __name__ == "__main__":
    main()
