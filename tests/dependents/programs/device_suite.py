"""A test suite of a device, in the way that suites for katcp-python are written."""

import logging
import threading
import time
import unittest

import tornado.gen
from tornado.testing import AsyncTestCase, gen_test

try:
    from unittest import mock
except ImportError:
    import mock

from katcp import (
    AsyncReply,
    BlockingClient,
    DeviceServer,
    FailReply,
    KATCPClientResource,
    Message,
    ProtocolFlags,
    Sensor,
    core,
)
from katcp.kattypes import Discrete, Float, Int, Str, request, return_reply
from katcp.testutils import (
    AsyncDeviceTestServer,
    BlockingTestClient,
    ClientConnectionTest,
    DeviceTestSensor,
    DeviceTestServer,
    SensorTransitionWaiter,
    TestLogHandler,
    TestUtilMixin,
    WaitingMock,
    counting_callback,
    handle_mock_req,
    mock_req,
    start_thread_with_cleanup,
    wait_sensor,
)

log_handler = TestLogHandler()
logging.getLogger("katcp").addHandler(log_handler)
logging.getLogger("katcp").propagate = False
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Receiver(DeviceServer):
    VERSION_INFO = ("receiver", 3, 1)
    BUILD_INFO = ("receiver", 3, 1, "dev")
    PROTOCOL_INFO = ProtocolFlags(
        5, 0, set([ProtocolFlags.MULTI_CLIENT, ProtocolFlags.MESSAGE_IDS])
    )

    def setup_sensors(self):
        self.add_sensor(Sensor.integer("attenuation", "Attenuation", "dB", [0, 31]))
        self.add_sensor(Sensor.float("temperature", "Temperature", "K", [0.0, 400.0]))
        self.add_sensor(Sensor.boolean("enabled", "Is it enabled?"))
        self.add_sensor(Sensor.discrete("band", "Band", "", ["l", "s", "x"]))
        for sensor in self.get_sensors():
            sensor.set_value(sensor.value())

    @request(Int(min=0, max=31))
    @return_reply(Int())
    def request_attenuation(self, req, value):
        """Set the attenuation."""
        self.get_sensor("attenuation").set_value(value)
        return ("ok", value)

    @request(Discrete(["l", "s", "x"]), Str(optional=True))
    @return_reply(Str())
    def request_band(self, req, band, note):
        """Select a band."""
        if band == "x" and note is None:
            raise FailReply("Band x needs a note.")
        self.get_sensor("band").set_value(band)
        req.inform("selected", band)
        return ("ok", band)

    @request()
    @return_reply()
    def request_warm_up(self, req):
        """Warm up, slowly."""

        def work():
            for kelvin in (100.0, 200.0, 300.0):
                self.get_sensor("temperature").set_value(kelvin)
                time.sleep(0.01)
            req.reply("ok")

        threading.Thread(target=work).start()
        raise AsyncReply

    @request()
    @return_reply()
    def request_crash(self, req):
        """Fail."""
        raise RuntimeError("burnt out")


class TestReceiver(unittest.TestCase, TestUtilMixin):
    def setUp(self):
        log_handler.clear()
        self.server = Receiver("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=5)
        self.host, self.port = self.server.bind_address
        self.client = BlockingTestClient(self, self.host, self.port)
        start_thread_with_cleanup(self, self.client, start_timeout=5)
        self.assertTrue(self.client.wait_protocol(timeout=5))

    def test_sensors(self):
        self.client.test_sensor_list(
            {
                ("attenuation", "Attenuation", "dB", "integer", "0", "31"),
                ("temperature", "Temperature", "K", "float", "0.0", "400.0"),
                ("enabled", "Is it enabled?", "", "boolean"),
                ("band", "Band", "", "discrete", "l", "s", "x"),
            }
        )
        self.client.assert_sensor_equals("attenuation", 0, int, status="nominal")
        self.assertEqual(self.client.get_sensor_value("band"), "l")
        self.assertEqual(self.client.get_sensor_status("enabled"), "nominal")

    def test_help(self):
        self.client.test_help(
            [
                ("attenuation", "Set the attenuation."),
                ("band", "Select a band."),
                ("crash", "Fail."),
                ("warm-up", "Warm up, slowly."),
            ]
        )

    def test_requests(self):
        self.client.assert_request_succeeds("attenuation", 12, args_equal=["12"])
        self.client.assert_sensor_equals("attenuation", 12, int)
        self.client.assert_request_succeeds("band", "s", informs_count=1)
        self.client.assert_request_fails("band", "x", error_equals="Band x needs a note.")
        self.client.assert_request_fails("attenuation", 32)
        self.client.assert_request_fails("band")

    def test_setter(self):
        self.client.test_setter_request(
            "attenuation", "attenuation", int, good=[0, 5, 31], bad=[-1, 32, "much"]
        )

    def test_async_reply(self):
        seen = []
        observer = mock.Mock()
        observer.update = lambda sensor, reading: seen.append(reading.value)
        self.server.get_sensor("temperature").attach(observer)
        reply, informs = self.client.blocking_request(Message.request("warm-up"), timeout=5)
        self.assertTrue(reply.reply_ok())
        self.assertEqual(seen, [100.0, 200.0, 300.0])
        self.client.wait_until_sensor_equals(5, "temperature", 300.0, float)

    def test_crash(self):
        reply, informs = self.client.blocking_request(Message.request("crash"))
        self.assertEqual(reply.arguments[0], Message.FAIL)
        self._assert_msgs_like([reply], [("!crash[1] fail Traceback", "burnt\\_out\\n")])
        errors = [record for record in log_handler._records if record.levelname == "ERROR"]
        self.assertEqual(len(errors), 1)

    def test_sampling(self):
        with_recorder = self.client.message_recorder(whitelist=("sensor-status",))
        self.client.assert_request_succeeds("sensor-sampling", "attenuation", "event")
        self.client.assert_request_succeeds("attenuation", 3)
        self.client.assert_request_succeeds("attenuation", 3)
        self.client.assert_request_succeeds("attenuation", 4)
        values = [msg.arguments[4] for msg in with_recorder.get_msgs(min_number=3, timeout=5)]
        self.assertEqual(values, [b"0", b"3", b"4"])

    def test_raw(self):
        recorder = self.client.message_recorder(whitelist=("watchdog", "log"), replies=True)
        self.client.raw_send(b"?watchdog[9]\n")
        msgs = recorder.get_msgs(min_number=1, timeout=5)
        self._assert_msgs_equal(msgs, ["!watchdog[9] ok"])
        self.client.raw_send(b"bad line\n")
        (msg,) = recorder.get_msgs(min_number=1, timeout=5)
        self.assertTrue(str(msg).endswith("KatcpSyntaxError:\\_Bad\\_type\\_character\\_'b'.\\n"))

    def test_version(self):
        reply, informs = self.client.blocking_request(Message.request("version-list"))
        self._assert_msgs_length(informs, 3)
        self.assertEqual(str(informs[0]), "#version-list[1] katcp-protocol 5.0-IM")
        self.assertEqual(
            str(informs[2]), "#version-list[1] katcp-device receiver-3.1 receiver-3.1dev"
        )

    def test_two_clients(self):
        other = BlockingTestClient(self, self.host, self.port)
        start_thread_with_cleanup(self, other, start_timeout=5)
        self.assertTrue(other.wait_protocol(timeout=5))
        recorder = other.message_recorder(whitelist=("note",))
        self.server.mass_inform(Message.inform("note", "hello", 1))
        self._assert_msgs_equal(recorder.get_msgs(min_number=1, timeout=5), ["#note hello 1"])
        reply, informs = self.client.blocking_request(Message.request("client-list"))
        self.assertEqual(reply.arguments, [b"ok", b"2"])

    def test_direct(self):
        connection = ClientConnectionTest()
        self.server.handle_message(connection, Message.request("watchdog"))
        deadline = time.time() + 5
        while not connection.messages and time.time() < deadline:
            time.sleep(0.01)
        self._assert_msgs_equal(connection.messages, ["!watchdog ok"])

    def test_waiting_for_sensors(self):
        sensor = self.server.get_sensor("attenuation")
        waiter = SensorTransitionWaiter(sensor, [0, 1, lambda value: value > 5])
        for value in (0, 1, 1, 7):
            sensor.set_value(value)
        self.assertTrue(waiter.wait(timeout=5))
        waiter.teardown()
        threading.Timer(0.02, sensor.set_value, (9, Sensor.WARN)).start()
        self.assertTrue(wait_sensor(sensor, 9, status=Sensor.WARN, timeout=5))

    def test_callbacks(self):
        called = threading.Event()

        @counting_callback(event=called, number_of_calls=2)
        def callback(msg):
            pass

        for _ in range(2):
            self.client.callback_request(Message.request("watchdog"), reply_cb=callback)
        callback.assert_wait(5)
        self.assertEqual(callback.get_no_calls(), 2)
        waiting = WaitingMock()
        self.client.callback_request(Message.request("watchdog"), reply_cb=waiting)
        waiting.assert_wait_call_count(1, timeout=5)


class TestDevice(unittest.TestCase, TestUtilMixin):
    """The device that the library itself is tested with."""

    def setUp(self):
        self.server = DeviceTestServer("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=5)
        self.client = BlockingClient(*self.server.bind_address)
        start_thread_with_cleanup(self, self.client, start_timeout=5)
        self.assertTrue(self.client.wait_protocol(timeout=5))

    def test_it(self):
        reply, informs = self.client.blocking_request(Message.request("new-command"))
        self._assert_msgs_equal([reply], ["!new-command[1] ok param1 param2"])
        reply, informs = self.client.blocking_request(Message.request("sensor-value", "an.int"))
        self._assert_msgs_equal(informs, ["#sensor-value[2] 12345.000000 1 an.int nominal 3"])
        reply, informs = self.client.blocking_request(Message.request("decorated", "a", 1.5, 2, 0))
        self.assertTrue(reply.reply_ok())
        self.client.blocking_request(Message.request("slow-command", 0.01), timeout=5)
        self.server.until_messages(4).result(timeout=5)
        self.assertEqual([msg.name for msg in self.server.messages][0], "new-command")

    def test_sensor(self):
        sensor = DeviceTestSensor(
            Sensor.INTEGER, "a.int", "An integer.", "count", [-4, 3],
            timestamp=12345, status=Sensor.NOMINAL, value=3,
        )  # fmt: skip
        self.assertEqual(sensor.read_formatted(), (b"12345.000000", b"nominal", b"3"))


class TestAsyncDevice(AsyncTestCase):
    @gen_test
    def test_resource(self):
        server = AsyncDeviceTestServer("127.0.0.1", 0)
        server.start()
        resource = KATCPClientResource(
            dict(name="thething", address=server.bind_address, controlled=True)
        )
        resource.start()
        yield resource.until_synced(timeout=5)
        self.assertEqual(
            sorted(dict.keys(resource.sensor)),
            ["a_discrete", "a_float", "a_floatwithzero", "an_int"],
        )
        reply = yield resource.req.new_command()
        self.assertEqual(reply.reply.arguments, [b"ok", b"param1", b"param2"])
        server.add_sensor(Sensor.boolean("late"))
        server.mass_inform(Message.inform("interface-changed"))
        yield resource.req.watchdog()
        yield resource.until_synced(timeout=5)
        self.assertIn("late", resource.sensor)
        reply, informs = yield handle_mock_req(server, mock_req("raise-fail"))
        self.assertEqual(
            str(reply), "!raise-fail fail There\\_was\\_a\\_problem\\_with\\_your\\_request."
        )
        resource.stop()
        yield resource.until_stopped(timeout=5)
        yield tornado.gen.moment
        server.stop()
        yield tornado.gen.sleep(0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
