"""The unit tests of the backend, in the way such backends are tested."""

import logging
import unittest

import pulsar_backend
from tornado.gen import coroutine
from tornado.testing import AsyncTestCase, gen_test

from katcp import Message, Sensor
from katcp.testutils import handle_mock_req, mock_req

logging.getLogger("backend").setLevel(logging.CRITICAL)


class TestBackend(AsyncTestCase):
    def setUp(self):
        super(TestBackend, self).setUp()
        self.server = pulsar_backend.Backend("127.0.0.1", 0)
        self.server.start()

    def tearDown(self):
        super(TestBackend, self).tearDown()

    @coroutine
    def _configure(self, product_id="array_1"):
        req = mock_req("configure", product_id, 3)
        reply, informs = yield handle_mock_req(self.server, req)
        self.assertTrue(reply.reply_ok(), msg=reply)

    @gen_test
    def test_configure(self):
        yield self._configure()
        self.assertIn("array_1", self.server._products)
        self.assertTrue(self.server.has_sensor("array_1.state"))
        self.assertIn("array_1.gain", self.server._sensors)
        yield self.server.stop()

    @gen_test
    def test_configure_twice(self):
        yield self._configure()
        reply, informs = yield handle_mock_req(self.server, mock_req("configure", "array_1", 3))
        self.assertFalse(reply.reply_ok())
        self.assertEqual(reply.arguments[1], b"Product array_1 is configured")
        yield self.server.stop()

    @gen_test
    def test_informs(self):
        req = mock_req("configure", "array_2", 7, True)
        reply, informs = yield handle_mock_req(self.server, req)
        self.assertEqual(str(informs[0]), "#configure configured array_2")
        reply, informs = yield handle_mock_req(self.server, mock_req("product-list"))
        self.assertEqual(reply.arguments, [b"ok", b"1"])
        self.assertEqual([m.arguments for m in informs], [[b"array_2", b"7"]])
        yield self.server.stop()

    @gen_test
    def test_whole_life(self):
        yield self._configure()
        for name, args, expected in [
            ("capture-start", ("array_1",), [b"fail", b"Product array_1 is not ready"]),
            ("prepare", ("array_1",), [b"ok"]),
            ("prepare", ("array_1",), [b"fail", b"Cannot prepare in state ready"]),
            ("target-start", ("array_1", "vela", 2), [b"ok", b"vela", b"2"]),
            ("capture-start", ("array_1",), [b"ok", b"1"]),
            ("set-gain", ("array_1", 2.5), [b"ok", b"2.5"]),
            ("deconfigure", ("array_1",), [b"ok"]),
            ("deconfigure", ("array_1",), [b"fail", b"No product configured with ID: array_1"]),
            ("register", (), [b"fail", b"need a name"]),
            ("register", ("a", 1, 2.5), [b"ok", b"a", b"1", b"2.5"]),
        ]:
            reply, informs = yield handle_mock_req(self.server, mock_req(name, *args))
            self.assertEqual(reply.arguments, expected)
        self.assertFalse(self.server.has_sensor("array_1.state"))
        yield self.server.stop()

    @gen_test
    def test_sensors(self):
        sensor = self.server.get_sensor("device-status")
        self.assertEqual(sensor.read()[1:], (Sensor.NOMINAL, "ok"))
        yield handle_mock_req(self.server, mock_req("set-status", "degraded"))
        self.assertEqual(sensor.value(), "degraded")
        self.assertEqual(Sensor.STATUSES[sensor.status()], "warn")
        reply, informs = yield handle_mock_req(self.server, mock_req("set-status", "on fire"))
        self.assertEqual(reply.arguments[0], Message.FAIL)
        reply, informs = yield handle_mock_req(self.server, mock_req("sensor-value", "ip"))
        self.assertEqual(informs[0].arguments[2:], [b"ip", b"nominal", b"10.0.0.1:7147"])
        yield self.server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
