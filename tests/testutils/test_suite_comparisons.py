# Messages compared with texts, sensors with descriptions, and what is logged.

import logging
import unittest

from katcp import Message, Sensor
from katcp.testutils import (
    SensorComparisonMixin,
    TestLogHandler,
    TestUtilMixin,
    add_mid_to_msg_str,
    list_to_native_strings,
)


class TestMessages(unittest.TestCase, TestUtilMixin):
    def setUp(self):
        self.msgs = [Message.inform("a", 1, mid=5), Message.reply("b", "ok", mid=5)]

    def test_equal(self):
        self._assert_msgs_equal(self.msgs, ["#a[5] 1", "!b[5] ok"])
        self._assert_msgs_equal(self.msgs, ["#a 1", "!b ok"], mid="5")
        self._assert_msgs_equal(self.msgs, ["#a 1", "!b ok"], mid=5)
        for wrong in (["#a[5] 1"], ["#a[5] 1", "!b[5] ok", "x"], ["#a[5] 2", "!b[5] ok"]):
            with self.assertRaises(AssertionError):
                self._assert_msgs_equal(self.msgs, wrong)

    def test_like(self):
        self._assert_msgs_like(self.msgs, [("#a[5] ", "1"), ("!b", "ok")])
        self._assert_msgs_like(self.msgs, [("#a ", "1"), ("!b", "ok")], mid=5)
        for wrong in ([("#a", "2"), ("!b", "ok")], [("#c", "1"), ("!b", "ok")], [("#a", "1")]):
            with self.assertRaises(AssertionError):
                self._assert_msgs_like(self.msgs, wrong)

    def test_match(self):
        self._assert_msgs_match(self.msgs, [r"#a\[\d\] 1$", "!b"])
        for wrong in (["a", "!b"], ["#a"]):
            with self.assertRaises(AssertionError):
                self._assert_msgs_match(self.msgs, wrong)

    def test_length(self):
        self._assert_msgs_length(self.msgs, 2)
        for number in (1, 3):
            with self.assertRaises(AssertionError):
                self._assert_msgs_length(self.msgs, number)

    def test_mids(self):
        self.assertEqual(add_mid_to_msg_str("!foo ok a", 5), "!foo[5] ok a")
        self.assertEqual(add_mid_to_msg_str("!foo", "5"), "!foo[5]")
        self.assertEqual(add_mid_to_msg_str("!foo ok", None), "!foo ok")

    def test_native_strings(self):
        self.assertEqual(list_to_native_strings([b"a", "b", 3]), ["a", "b", "3"])


class TestSensors(unittest.TestCase, SensorComparisonMixin):
    def setUp(self):
        self.sensors = [
            Sensor.integer("one", "The first.", "m", [0, 9]),
            Sensor.discrete("two", "The second.", "", ["x", "y"]),
        ]
        self.sensors[0].set(12, Sensor.WARN, 3)
        self.sensors[1].set(13, Sensor.NOMINAL, "y")
        self.other = Sensor.integer("one", "The first.", "m", [0, 9])
        self.other.set(12, Sensor.WARN, 4)

    def test_equal(self):
        self.assert_sensor_equal(self.sensors[0], self.sensors[0])
        self.assert_sensor_equal(self.sensors[0], self.other, ignore_attributes=["value"])
        with self.assertRaises(AssertionError):
            self.assert_sensor_equal(self.sensors[0], self.other)

    def test_description(self):
        self.assert_sensor_equal_description(
            self.sensors[0],
            dict(
                name="one",
                status=Sensor.WARN,
                type=Sensor.INTEGER,
                value=3,
                timestamp=12,
                description="The first.",
                units="m",
                params=[0, 9],
            ),
        )
        self.assert_sensor_equal_description(self.sensors[1], dict(name="two", value="y"))
        with self.assertRaises(AssertionError):
            self.assert_sensor_equal_description(self.sensors[1], dict(name="two", value="x"))

    def test_descriptions(self):
        one, two = dict(name="one", value=3), dict(name="two", status=Sensor.NOMINAL)
        self.assert_sensors_equal_description(self.sensors, [two, one])
        for wrong in ([one], [one, two, dict(name="three")], [one, dict(name="two", value="x")]):
            with self.assertRaises(AssertionError):
                self.assert_sensors_equal_description(self.sensors, wrong)

    def test_conditions(self):
        self.assert_sensors_value_conditions(
            self.sensors, {"one": lambda value: self.assertTrue(value > 2)}
        )
        with self.assertRaises(AssertionError):
            self.assert_sensors_value_conditions(
                self.sensors, {"one": lambda value: self.assertTrue(value > 3)}
            )
        with self.assertRaises(AssertionError):
            self.assert_sensors_value_conditions(self.sensors, {"three": lambda value: None})


class TestLog(unittest.TestCase):
    def test_records(self):
        handler = TestLogHandler()
        logger = logging.getLogger("katcp.testutils.suite")
        logger.addHandler(handler)
        logger.error("It is %s", "broken")
        self.assertEqual([record.getMessage() for record in handler._records], ["It is broken"])
        handler.clear()
        self.assertEqual(handler._records, [])


if __name__ == "__main__":
    unittest.main()
