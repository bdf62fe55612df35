# ruff: noqa: PT009, PT027
"""Tests as users of katcp-python 0.9.3 write them, with nothing that it did not have.

This file passes there as well as here.
"""

import unittest

import tornado.testing
from tornado import gen
from tornado.ioloop import IOLoop

from katcp import inspecting_client
from katcp.core import KatcpSyntaxError, Message, Sensor
from katcp.fake_clients import (
    FakeAsyncClient,
    FakeClientRequestConnection,
    FakeInspectingClientManager,
    FakeKATCPServerError,
    fake_inspecting_client_factory,
)
from katcp.kattypes import Int, Str, request, return_reply


class Dispenser:
    """Handlers of requests that a test needs."""

    def __init__(self):
        self.dispensed = []

    @request(Str(), Int(default=1))
    @return_reply(Str())
    def request_dispense_blob(self, req, what, count):
        """Dispense COUNT blobs of WHAT."""
        self.dispensed.append((what, count))
        for index in range(count):
            req.inform("blob", index)
        return ("ok", what * count)

    @return_reply(Int())
    @request()
    @gen.coroutine
    def request_count(self, req):
        """Count what has been dispensed, in a moment."""
        yield gen.sleep(0.001)
        raise gen.Return(("ok", len(self.dispensed)))

    def request_plain(self, req, msg):
        """Send back the arguments."""
        return req.make_reply("ok", *msg.arguments)


class TestFakeInspectingClient(tornado.testing.AsyncTestCase):
    def setUp(self):
        super().setUp()
        self.host = "fake-host"
        self.port = 12345
        self.client, self.manager = fake_inspecting_client_factory(
            inspecting_client.InspectingClientAsync,
            {},
            self.host,
            self.port,
            ioloop=IOLoop.current(),
        )
        self.states = []
        self.client.set_state_callback(self.on_state)

    def tearDown(self):
        self.client.stop()
        self.io_loop.run_sync(lambda: gen.sleep(0.01))
        super().tearDown()

    def on_state(self, state, changes):
        self.states.append(state)

    @gen.coroutine
    def changed(self):
        # What is added now shows after the client has noticed.
        yield self.client.until_not_synced(timeout=2)
        yield self.client.until_synced(timeout=2)

    @tornado.testing.gen_test
    def test_init(self):
        self.assertIsInstance(self.client, inspecting_client.InspectingClientAsync)
        self.assertIsInstance(self.manager, FakeInspectingClientManager)
        self.assertIsInstance(self.client.katcp_client, FakeAsyncClient)
        self.assertEqual(self.client.bind_address, (self.host, self.port))
        yield self.client.connect()
        yield self.client.until_synced(timeout=2)
        self.assertTrue(self.client.is_connected())
        self.assertTrue(self.client.synced)
        self.assertEqual(self.client.sensors, [])
        self.assertEqual(sorted(self.client.requests), ["help", "sensor-list"])
        self.assertTrue(any(state.synced for state in self.states))

    @tornado.testing.gen_test
    def test_sensors(self):
        infos = {
            "an-int": ("An integer.", "count", "integer", b"-3", b"5"),
            "a.discrete": ("A discrete.", "", "discrete", b"one", b"two"),
            "a.string": ("A string.", "", "string"),
        }
        yield self.client.connect()
        yield self.client.until_synced(timeout=2)
        self.manager.add_sensors(infos)
        yield self.changed()
        self.assertEqual(sorted(self.client.sensors), sorted(infos))
        for name, info in infos.items():
            sensor = yield self.client.future_get_sensor(name)
            self.assertIsInstance(sensor, Sensor)
            self.assertEqual(sensor.name, name)
            self.assertEqual(sensor.description, info[0])
            self.assertEqual(sensor.units, info[1])
            self.assertEqual(sensor.type, info[2])
            self.assertEqual(sensor.formatted_params, list(info[3:]))
        self.assertEqual(self.manager.fake_sensor_infos, infos)
        reply, informs = yield self.client.simple_request("sensor-list")
        self.assertTrue(reply.reply_ok())
        self.assertEqual(reply.arguments[1], b"3")
        self.assertEqual(len(informs), 3)
        # Values come from the test, one way or another.
        yield self.client.update_sensor("an-int", b"1234.5", b"warn", b"4")
        sensor = yield self.client.future_get_sensor("an-int")
        self.assertEqual(tuple(sensor.read()), (1234.5, Sensor.WARN, 4))

    @tornado.testing.gen_test
    def test_bad_sensors(self):
        with self.assertRaises(KatcpSyntaxError):
            self.manager.add_sensors({"x": ("", "", "no-type")})
        self.assertEqual(self.manager.fake_sensor_infos, {})

    @tornado.testing.gen_test
    def test_requests_of_object(self):
        yield self.client.connect()
        yield self.client.until_synced(timeout=2)
        handlers = Dispenser()
        self.manager.add_request_handlers_object(handlers)
        yield self.changed()
        for name in ("dispense-blob", "count", "plain"):
            self.assertIn(name, self.client.requests)
        info = yield self.client.future_get_request("dispense-blob")
        self.assertEqual(info.name, "dispense-blob")
        self.assertEqual(info.description, "Dispense COUNT blobs of WHAT.")
        reply, informs = yield self.client.simple_request("dispense-blob", "ab", 2)
        self.assertEqual(reply.arguments, [b"ok", b"abab"])
        self.assertEqual([i.arguments for i in informs], [[b"blob", b"0"], [b"blob", b"1"]])
        self.assertEqual(handlers.dispensed, [("ab", 2)])
        reply, informs = yield self.client.simple_request("count")
        self.assertEqual((reply.arguments, informs), ([b"ok", b"1"], []))
        reply, _ = yield self.client.simple_request("plain", "x", 1)
        self.assertEqual(reply.arguments, [b"ok", b"x", b"1"])

    @tornado.testing.gen_test
    def test_requests_of_dict(self):
        yield self.client.connect()
        yield self.client.until_synced(timeout=2)
        asked = []

        def handler(req, msg):
            """Say yes."""
            asked.append(req)
            req.inform("thinking")
            return Message.reply_to_request(msg, "ok", "yes")

        def undocumented(req, msg):
            return req.make_reply("ok")

        self.manager.add_request_handlers_dict({"decide": handler})
        with self.assertRaises(AssertionError):
            self.manager.add_request_handlers_dict({"undocumented": undocumented})
        yield self.changed()
        self.assertIn("decide", self.client.requests)
        self.assertNotIn("undocumented", self.client.requests)
        reply, informs = yield self.client.simple_request("decide")
        self.assertEqual(reply.arguments, [b"ok", b"yes"])
        self.assertEqual(informs[0].arguments, [b"thinking"])
        self.assertIsInstance(asked[0], FakeClientRequestConnection)
        self.assertEqual(asked[0].informs_sent[0].arguments, [b"thinking"])
        self.assertEqual(asked[0].msg.name, "decide")

    @tornado.testing.gen_test
    def test_other_requests(self):
        yield self.client.connect()
        yield self.client.until_synced(timeout=2)
        reply, informs = yield self.client.simple_request("anything-at-all", 1, 2, 3)
        self.assertTrue(reply.reply_ok())
        self.assertEqual(informs, [])
        reply, informs = yield self.client.simple_request("help")
        self.assertEqual(reply.arguments, [b"ok", b"2"])
        self.assertEqual([i.arguments[0] for i in informs], [b"help", b"sensor-list"])
        reply, informs = yield self.client.simple_request("help", "nothing-known")
        self.assertEqual(reply.arguments, [b"fail", b"Unknown request method."])
        reply, informs = yield self.client.simple_request("sensor-list", "nothing-known")
        self.assertEqual(reply.arguments, [b"fail", b"Unknown sensor name."])

    def test_request_made_up(self):
        connection = self.client.katcp_client.client_connection
        req = FakeClientRequestConnection(connection, Message.request("dispense-blob", "a", 2))
        reply = Dispenser().request_dispense_blob(req, req.msg)
        self.assertEqual(reply.arguments, [b"ok", b"aa"])
        self.assertEqual(len(req.informs_sent), 2)
        with self.assertRaises(FakeKATCPServerError):
            req.reply("ok")
        with self.assertRaises(RuntimeError):
            req.reply("ok")


if __name__ == "__main__":
    unittest.main()
