# Handlers of an asynchronous device, called without sockets.

import unittest

import tornado.testing
from tornado import gen

from katcp import AsyncDeviceServer, AsyncReply, FailReply, Message, Sensor
from katcp.kattypes import Float, Int, Str, request, return_reply
from katcp.testutils import ClientConnectionTest, WaitingMock, handle_mock_req, mock_req


class Backend(AsyncDeviceServer):
    VERSION_INFO = ("backend", 0, 1)

    def setup_sensors(self):
        self._state = Sensor.discrete("state", "", "", ["idle", "configured", "error"])
        self.add_sensor(self._state)

    @request(Str(), Int(default=1))
    @return_reply(Int())
    def request_configure(self, req, product, count):
        """Configure."""
        if product == "bad":
            raise FailReply("No such product")
        for index in range(count):
            req.inform(product, index)
        self._state.set_value("configured")
        return ("ok", count)

    @request(Float())
    @return_reply(Str())
    @gen.coroutine
    def request_capture(self, req, seconds):
        """Capture."""
        req.inform("begun")
        yield gen.moment
        req.inform("ended")
        raise gen.Return(("ok", "captured %.1f" % seconds))

    @request()
    @return_reply(Str())
    def request_deconfigure(self, req):
        """Reply later."""

        def later():
            self._state.set_value("idle")
            req.reply("ok", "later")

        self.loop.add_callback(later)
        raise AsyncReply

    def request_raw(self, req, msg):
        """As it comes."""
        req.client_connection.inform(Message.inform("note", "for you alone"))
        return req.make_reply("ok", *msg.arguments)

    def request_broken(self, req, msg):
        """Raise."""
        raise KeyError("lost")


class TestBackend(tornado.testing.AsyncTestCase):
    def setUp(self):
        super().setUp()
        self.device = Backend("127.0.0.1", 0)
        self.device.loop = self.io_loop

    @gen.coroutine
    def ask(self, name, *args):
        req = mock_req(name, *args)
        reply, informs = yield handle_mock_req(self.device, req)
        raise gen.Return((str(reply), [str(inform) for inform in informs], req))

    @tornado.testing.gen_test
    def test_plain_handler(self):
        reply, informs, req = yield self.ask("configure", "beams", 2)
        self.assertEqual(reply, "!configure ok 2")
        self.assertEqual(informs, ["#configure beams 0", "#configure beams 1"])
        self.assertEqual(str(req.reply_msg), reply)
        self.assertEqual([str(msg) for msg in req.inform_msgs], informs)
        self.assertEqual(req.inform.call_count, 2)
        req.inform.assert_called_with("beams", 1)
        self.assertTrue(req.reply_and_inform_msgs_future.done())
        self.assertEqual(self.device.get_sensor("state").value(), "configured")

    @tornado.testing.gen_test
    def test_default(self):
        reply, informs, _ = yield self.ask("configure", "beams")
        self.assertEqual((reply, len(informs)), ("!configure ok 1", 1))

    @tornado.testing.gen_test
    def test_failures(self):
        reply, _, _ = yield self.ask("configure", "bad")
        self.assertEqual(reply, r"!configure fail No\_such\_product")
        reply, _, _ = yield self.ask("configure")
        self.assertTrue(reply.startswith("!configure fail"))
        reply, _, _ = yield self.ask("configure", "beams", "many")
        self.assertTrue(reply.startswith(r"!configure fail Error\_in\_parameter\_2"))
        reply, _, _ = yield self.ask("broken")
        self.assertTrue("KeyError" in reply)
        reply, _, _ = yield self.ask("no-such-request")
        self.assertEqual(reply, r"!no-such-request invalid Unknown\_request.")

    @tornado.testing.gen_test
    def test_reply_that_comes_later(self):
        reply, _, _ = yield self.ask("deconfigure")
        self.assertEqual(reply, "!deconfigure ok later")
        self.assertEqual(self.device.get_sensor("state").value(), "idle")

    @tornado.testing.gen_test
    def test_coroutine(self):
        self.device.start()
        reply, informs, _ = yield self.ask("capture", 1.5)
        self.assertEqual(reply, r"!capture ok captured\_1.5")
        self.assertEqual(informs, ["#capture begun", "#capture ended"])
        yield self.device.stop()

    @tornado.testing.gen_test
    def test_built_in_requests(self):
        reply, informs, _ = yield self.ask("sensor-list")
        self.assertEqual(reply, "!sensor-list ok 1")
        self.assertEqual(informs, [r"#sensor-list state \@ \@ discrete idle configured error"])
        reply, informs, _ = yield self.ask("sensor-value", "state")
        self.assertEqual((reply, len(informs)), ("!sensor-value ok 1", 1))
        reply, informs, _ = yield self.ask("help", "configure")
        self.assertEqual(informs, ["#help configure Configure."])
        reply, _, _ = yield self.ask("watchdog")
        self.assertEqual(reply, "!watchdog ok")

    @tornado.testing.gen_test
    def test_connections(self):
        req = mock_req("raw", b"\xff", 2)
        reply, _ = yield handle_mock_req(self.device, req)
        self.assertEqual(reply.arguments, [b"ok", b"\xff", b"2"])
        self.assertEqual(req.client_connection.inform.call_count, 1)
        message = req.client_connection.inform.call_args[0][0]
        self.assertEqual(str(message), r"#note for\_you\_alone")
        self.assertIs(mock_req("raw", client_conn=self).client_connection, self)
        with self.assertRaises(TypeError):
            mock_req("raw", client_conn=self, server=self.device)

    def test_handler_called_directly(self):
        req = mock_req("raw", "a")
        self.assertEqual(req.msg, Message.request("raw", "a"))
        reply = self.device.request_raw(req, req.msg)
        self.assertEqual(str(reply), "!raw ok a")
        self.assertIs(req.reply_msg, None)
        req.inform("some", 1)
        req.reply("ok", 2)
        self.assertEqual([str(msg) for msg in req.inform_msgs], ["#raw some 1"])
        self.assertEqual(str(req.reply_msg), "!raw ok 2")
        self.assertIsInstance(req, WaitingMock)
        req.reply.assert_wait_call_count(1)

    def test_by_messages(self):
        connection = ClientConnectionTest()
        self.device.handle_message(connection, Message.request("configure", "beams", 2))
        self.assertEqual([str(msg) for msg in connection.replies], ["!configure ok 2"])
        self.assertEqual(len(connection.informs), 2)
        self.assertEqual(connection.messages, connection.informs + connection.replies)
        connection.mass_inform(Message.inform("all"))
        self.assertEqual([str(msg) for msg in connection.mass_informs], ["#all"])
        self.assertEqual(len(connection.messages), 3)


if __name__ == "__main__":
    unittest.main()
