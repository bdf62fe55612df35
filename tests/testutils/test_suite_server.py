# A device in a thread of its own, asked by a blocking client.

import threading
import time
import unittest

import katcp
from katcp import Message, Sensor
from katcp.kattypes import Float, Int, Str, request, return_reply
from katcp.testutils import (
    BlockingTestClient,
    DeviceTestSensor,
    DeviceTestServer,
    DeviceTestServerWithTimeoutHints,
    TestUtilMixin,
    start_thread_with_cleanup,
)


class Oven(katcp.DeviceServer):
    VERSION_INFO = ("oven", 1, 2)
    BUILD_INFO = ("oven-build", 3, 4, "rc1")

    def setup_sensors(self):
        self.add_sensor(Sensor.float("temperature", "Inside.", "degC", [0, 300], default=20.0))
        self.add_sensor(Sensor.integer("shelf", "Which is used.", "", [1, 5], default=1))
        self.add_sensor(Sensor.discrete("mode", "What it does.", "", ["off", "grill", "bake"]))
        self.get_sensor("mode").set_value("off")

    @request(Float(min=0, max=300))
    @return_reply(Float())
    def request_set_temperature(self, req, degrees):
        """Heat to DEGREES."""
        self.get_sensor("temperature").set_value(degrees)
        return ("ok", degrees)

    @request(Str(), Int())
    @return_reply()
    def request_bake(self, req, mode, shelf):
        """Begin to bake.

        In mode MODE, on shelf SHELF.
        """
        if mode == "boil":
            return ("fail", "An oven cannot boil.")
        self.get_sensor("mode").set_value(mode)
        self.get_sensor("shelf").set_value(shelf)
        req.inform("heating", mode)
        return ("ok",)

    def request_ring(self, req, msg):
        """Ring, for everybody."""
        self.mass_inform(Message.inform("ring", *msg.arguments))
        return req.make_reply("ok")


class TestOven(unittest.TestCase, TestUtilMixin):
    def setUp(self):
        self.server = Oven("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=1)
        host, port = self.server.bind_address
        self.client = BlockingTestClient(self, host, port)
        start_thread_with_cleanup(self, self.client, start_timeout=1)
        self.assertTrue(self.client.wait_protocol(timeout=1))

    def test_requests(self):
        self.client.test_help(["bake", "ring", "set-temperature"])
        self.client.test_help(
            [
                ("bake", "Begin to bake."),
                ("ring", "Ring, for everybody."),
                ("set-temperature", "Heat to DEGREES."),
            ]
        )
        with self.assertRaises(AssertionError):
            self.client.test_help(["bake", "ring"])
        with self.assertRaises(ValueError):
            self.client.test_help([b"bake", b"ring", b"set-temperature"])

    def test_sensors(self):
        expected = [
            ("temperature", "Inside.", "degC", "float", "0.0", "300.0"),
            ("shelf", "Which is used.", "", "integer", "1", "5"),
            ("mode", "What it does.", "", "discrete", "off", "grill", "bake"),
        ]
        self.client.test_sensor_list(expected)
        renamed = [(row[0], "?") + row[2:] for row in expected]
        self.client.test_sensor_list(renamed, ignore_descriptions=True)
        with self.assertRaises(AssertionError):
            self.client.test_sensor_list(renamed)
        with self.assertRaises(AssertionError):
            self.client.test_sensor_list(expected[:2])

    def test_values(self):
        client = self.client
        client.assert_sensor_equals("temperature", 20, float)
        client.assert_sensor_status_equals("temperature", "unknown")
        client.assert_request_succeeds("set-temperature", 180.25, args_echo=True)
        client.assert_sensor_equals("temperature", 180.25, float, status="nominal")
        client.assert_sensor_equals("temperature", 180.26, float, places=1)
        client.assert_sensor_not_equal("temperature", 180.3, float)
        client.assert_sensor_not_equal("mode", "bake")
        value, status, timestamp = client.get_sensor("temperature", float)
        self.assertEqual((value, status), (180.25, "nominal"))
        self.assertLess(abs(timestamp - time.time()), 60)
        self.assertEqual(client.get_sensor_value("shelf", int), 1)
        self.assertEqual(client.get_sensor_value("shelf"), "1")
        self.assertEqual(client.get_sensor_status("mode"), "nominal")
        self.assertEqual(
            client.get_sensor_timestamp("mode"),
            round(self.server.get_sensor("mode").read().timestamp, 6),
        )
        with self.assertRaises(AssertionError):
            client.assert_sensor_equals("temperature", 180, float)
        with self.assertRaises(AssertionError):
            client.get_sensor("no-such-sensor")
        with self.assertRaises(AssertionError):
            client.get_sensor("mode", int)

    def test_setters(self):
        client = self.client
        client.test_setter_request(
            "set-temperature", "temperature", float, good=(0, 12.5, 300), bad=(-1, "hot", 301)
        )
        expected = client.expected_sensor_value_tuple
        client.test_multi_setter_request(
            "bake",
            good=[(("grill", 2), [expected("mode", "grill"), expected("shelf", 2, int)])],
            bad=[("boil", 1), ("grill",), ("grill", "x")],
        )
        client.assert_sensors_equal([expected("mode", "grill"), expected("shelf", 2, int)])
        client.assert_sensors_not_equal([expected("mode", "off"), expected("shelf", 3, int)])

    def test_replies(self):
        client = self.client
        args = client.assert_request_succeeds(
            "bake", "bake", 3, informs_count=1, informs_args_equal=[["heating", "bake"]]
        )
        self.assertEqual(args, [])
        client.assert_request_succeeds("set-temperature", 5, args_equal=["5.0"], args_length=1)
        client.assert_request_succeeds("set-temperature", 5, args_in=[["4.0"], ["5.0"]])
        client.assert_request_fails("bake", "boil", 1, error_equals="An oven cannot boil.")
        client.assert_request_fails("no-such-request", status_equals="invalid")
        status, error = client.assert_request_fails("bake", "boil", 1, status_equals="fail")
        self.assertEqual((status, error), ("fail", "An oven cannot boil."))
        for wrong in ({"args_length": 2}, {"args_equal": ["6.0"]}, {"informs_count": 1}):
            with self.assertRaises(AssertionError):
                client.assert_request_succeeds("set-temperature", 5, **wrong)
        with self.assertRaises(AssertionError):
            client.assert_request_succeeds("bake", "boil", 1)
        with self.assertRaises(AssertionError):
            client.assert_request_fails("set-temperature", 5)

    def test_waiting(self):
        client, sensor = self.client, self.server.get_sensor("shelf")
        timer = threading.Timer(0.05, sensor.set_value, (4,))
        timer.start()
        client.wait_until_sensor_equals(5, "shelf", 4, int)
        timer.join()
        timer = threading.Timer(0.05, sensor.set_value, (5,))
        timer.start()
        client.wait_until_sensors_equal(5, [("shelf", 5, int, 7), ("mode", "off")])
        timer.join()
        with self.assertRaises(AssertionError):
            client.wait_until_sensor_equals(0.05, "shelf", 1, int)
        with self.assertRaises(AssertionError):
            client.wait_until_sensors_equal(0.05, [("shelf", 1, int)], msg="shelf")
        results = iter([0, None, "found"])
        self.assertEqual(client.wait_condition(5, lambda: next(results)), ("found", ""))
        result, text = client.wait_condition(0.05, lambda x, y=0: x > y, 1, y=2)
        self.assertFalse(result)
        self.assertTrue(text.startswith("Timed out"))

    def test_recorders(self):
        every = self.client.message_recorder(blacklist=["client-connected", "interface-changed"])
        rings = self.client.message_recorder(whitelist=("ring",))
        loud = self.client.message_recorder(regex_filter=r"#ring.* loud$")
        replies = self.client.message_recorder(informs=False, replies=True)
        self.client.assert_request_succeeds("ring", "soft")
        self.client.assert_request_succeeds("bake", "bake", 1)
        self.client.assert_request_succeeds("ring", "loud")
        self._assert_msgs_equal(rings.get_msgs(min_number=2), ["#ring soft", "#ring loud"])
        self._assert_msgs_equal(loud(min_number=1), ["#ring loud"])
        self._assert_msgs_match(every(), [r"#ring soft", r"#bake\[\d+\] heating", r"#ring loud"])
        self._assert_msgs_like(replies(), [("!ring", "ok"), ("!bake", "ok"), ("!ring", "ok")])
        self.assertEqual(rings(), [])
        self.assertFalse(rings.wait_number(1, timeout=0.05))
        self.server.mass_inform(Message.inform("ring"))
        self.assertTrue(rings.wait_number(1))
        self._assert_msgs_length(rings(), 1)

    def test_raw(self):
        replies = self.client.message_recorder(informs=False, replies=True)
        self.client.raw_send(b"?watch")
        self.client.raw_send(b"dog[77]\n?nothing-like-it\n")
        self._assert_msgs_equal(
            replies(min_number=2),
            ["!watchdog[77] ok", r"!nothing-like-it invalid Unknown\_request."],
        )


class TestTestServer(unittest.TestCase, TestUtilMixin):
    def setUp(self):
        self.server = DeviceTestServer("127.0.0.1", 0)
        start_thread_with_cleanup(self, self.server, start_timeout=1)
        self.client = BlockingTestClient(self, *self.server.bind_address)
        start_thread_with_cleanup(self, self.client, start_timeout=1)
        self.assertTrue(self.client.wait_protocol(timeout=1))

    def ask(self, *words):
        return self.client.blocking_request(Message.request(*words))

    def test_what_it_has(self):
        self.client.test_help(
            [
                "cancel-slow-command",
                "decorated",
                "decorated-return-exception",
                "new-command",
                "raise-exception",
                "raise-fail",
                "slow-command",
            ]
        )
        self.client.test_help(self.server.request_names, exclude_defaults=False)
        self.assertEqual(len(self.server.request_names), 18)
        self.client.test_sensor_list(
            [
                ("a.discrete", "A Discrete.", "", "discrete", "one", "two", "three"),
                ("a.float", "A Float.", "", "float", "-123.4", "123.4"),
                ("a.floatwithzero", "A Float with zero.", "", "float", "-123.0", "123.0"),
                ("an.int", "An Integer.", "count", "integer", "-5", "5"),
            ]
        )
        self.assertEqual(
            sorted(self.server.sensor_names), ["a.discrete", "a.float", "a.floatwithzero", "an.int"]
        )
        self.assertEqual(self.client.get_sensor("an.int", int), (3, "nominal", 12345.0))
        self.assertEqual(self.client.get_sensor("a.float", float), (12.0, "nominal", 12345.0))
        self.assertEqual(self.client.get_sensor("a.discrete"), ("one", "nominal", 12345.0))
        _, informs = self.ask("help", "cancel-slow-command")
        self.assertTrue(
            informs[0]
            .arguments[1]
            .startswith(b"Cancel slow command request, resulting in it replying immediately.")
        )

    def test_requests(self):
        self.client.assert_request_succeeds("new-command", args_equal=["param1", "param2"])
        self.client.assert_request_fails(
            "raise-fail", error_equals="There was a problem with your request."
        )
        _, error = self.client.assert_request_fails("raise-exception")
        self.assertTrue(error.endswith("Exception: An exception occurred!\n"))
        self.client.assert_request_succeeds(
            "decorated", "a", 1.5, 3, 0, args_echo=True, informs_count=4
        )
        _, error = self.client.assert_request_fails("decorated", "a", 1.5, 3, 1)
        self.assertTrue(error.startswith("Traceback"))
        self.client.assert_request_fails("decorated", "a", 1.5, "x", 0)
        self.client.assert_request_fails(
            "decorated-return-exception", error_equals="An exception occurred!"
        )

    def test_slow_command(self):
        replies = self.client.message_recorder(informs=False, replies=True)
        self.client.raw_send(b"?slow-command[1] 0.01\n")
        self._assert_msgs_equal(replies(min_number=1), ["!slow-command[1] ok"])
        self.client.raw_send(b"?slow-command[2] 30\n?slow-command[3] 1\n?watchdog[4]\n")
        busy = r"!slow-command[3] fail A\_slow\_command\_is\_already\_running"
        self._assert_msgs_like(replies(min_number=2), [(busy, ""), ("!watchdog[4] ok", "")])
        self.client.raw_send(b"?cancel-slow-command[5]\n")
        self._assert_msgs_equal(
            sorted(replies(min_number=2), key=str),
            ["!cancel-slow-command[5] ok", "!slow-command[2] ok"],
        )
        self.client.raw_send(b"?slow-command[6] 30\n")  # is under way when the server stops
        self.assertTrue(self.server.until_messages(6).result(timeout=5))

    def test_messages(self):
        future = self.server.until_messages(3)
        self.ask("watchdog")
        self.assertFalse(future.done())
        self.client.raw_send(b"#hello\n!what ok\n")
        self._assert_msgs_like(
            future.result(timeout=5), [("?watchdog", ""), ("#hello", ""), ("!what ok", "")]
        )
        self.assertEqual(len(self.server.until_messages(2).result(timeout=1)), 3)
        self.assertEqual([msg.name for msg in self.server.messages], ["watchdog", "hello", "what"])

    def test_breaking(self):
        self.server.break_help = "No help today."
        self.client.assert_request_fails("help", error_equals="No help today.")
        self.server.break_help = False
        self.client.assert_request_succeeds("help", args_equal=["18"], informs_count=18)
        self.server.break_sensor_list = "No sensors today."
        self.client.assert_request_fails("sensor-list", error_equals="No sensors today.")
        self.server.break_sensor_list = False
        self.client.assert_request_succeeds("sensor-list", args_equal=["4"], informs_count=4)

    def test_restart(self):
        self.client.assert_request_succeeds("restart")
        self.assertIs(self.server.restart_queue.get(timeout=1), self.server)
        self.assertFalse(self.server.restarted)

    def test_holding_back_the_greeting(self):
        self.server.proceed_on_client_connect.clear()
        client = BlockingTestClient(self, *self.server.bind_address)
        start_thread_with_cleanup(self, client, start_timeout=1)
        self.assertTrue(client.wait_connected(timeout=1))
        self.assertFalse(client.wait_protocol(timeout=0.05))
        self.server.ioloop.add_callback(self.server.proceed_on_client_connect.set)
        self.assertTrue(client.wait_protocol(timeout=5))

    def test_version_and_hints(self):
        self.client.assert_request_fails("request-timeout-hint", status_equals="invalid")
        server = DeviceTestServerWithTimeoutHints("127.0.0.1", 0)
        start_thread_with_cleanup(self, server, start_timeout=1)
        client = BlockingTestClient(self, *server.bind_address)
        start_thread_with_cleanup(self, client, start_timeout=1)
        self.assertTrue(client.wait_protocol(timeout=1))
        self.assertEqual(str(client.protocol_flags), "5.1-IMT")
        client.assert_request_succeeds(
            "request-timeout-hint",
            informs_args_equal=[["slow-command", "10.5"], ["raise-fail", "2.3"]],
        )
        client.assert_request_succeeds(
            "request-timeout-hint", "slow-command", informs_args_equal=[["slow-command", "10.5"]]
        )
        client.assert_request_succeeds(
            "request-timeout-hint", "help", args_equal=["1"], informs_args_equal=[["help", "0"]]
        )

    def test_own_sensors(self):
        sensor = DeviceTestSensor(
            Sensor.FLOAT, "pressure", "Of air.", "Pa", [0, 9e9], 54321, Sensor.WARN, 1.5
        )
        self.server.add_sensor(sensor)
        self.assertEqual(self.client.get_sensor("pressure", float), (1.5, "warn", 54321.0))
        self.server.remove_sensor("pressure")
        self.client.assert_request_fails("sensor-value", "pressure")


if __name__ == "__main__":
    unittest.main()
