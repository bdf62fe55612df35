"""Code as it is written for katcp-python: generator coroutines, unittest classes, scripts."""

# ruff: noqa: PT009, PT027 - such suites are written so

from __future__ import annotations

import logging
import unittest
from typing import Any

import tornado.gen
import tornado.testing
from tornado.ioloop import IOLoop

import katcp
from katcp import resource_client
from katcp.resource import KATCPSensorReading
from katcp.resource_client import KATCPClientResource, KATCPSensorError
from tests.helpers.resources import PATIENCE
from tests.resource_client.pump import Pump


class TestWithAsyncTestCase(tornado.testing.AsyncTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = Pump()
        self.server.set_ioloop(self.io_loop)
        self.io_loop.add_callback(self.server.start)
        self.io_loop.run_sync(self._nothing)
        self.resource = KATCPClientResource(
            dict(name="pump", address=self.server.bind_address, controlled=True)  # noqa: C408
        )
        self.resource.set_ioloop(self.io_loop)
        self.resource.start()
        self.io_loop.run_sync(lambda: self.resource.until_synced(timeout=PATIENCE))

    def tearDown(self) -> None:
        self.resource.stop()
        self.io_loop.run_sync(lambda: self.resource.until_stopped(timeout=PATIENCE))
        self.io_loop.run_sync(lambda: self.server.stop(timeout=PATIENCE))
        super().tearDown()

    @tornado.gen.coroutine
    def _nothing(self) -> Any:
        yield tornado.gen.moment

    @tornado.testing.gen_test
    def test_requests_and_replies(self) -> Any:
        reply = yield self.resource.req.add(1, 2)
        self.assertTrue(reply.succeeded)
        self.assertEqual(reply.reply.arguments[1], b"3.0")
        reply, informs = yield self.resource.req.sensor_list()
        self.assertTrue(reply.reply_ok())
        self.assertEqual(len(informs), 3)
        reply = yield self.resource.req.add("x", 2)
        self.assertFalse(reply)
        self.assertEqual(reply.messages[0].arguments[0], katcp.Message.FAIL)

    @tornado.testing.gen_test
    def test_sensors(self) -> Any:
        readings: list[Any] = []
        sensor = self.resource.sensor["pump_speed"]
        result = yield sensor.set_strategy("event-rate", "0.001 10")
        self.assertEqual(result, (True, ("event-rate", "0.001", "10")))
        sensor.register_listener(lambda s, reading: readings.append(reading), reading=True)
        self.server.get_sensor("pump.speed").set_value(12)
        reached = yield self.resource.wait("pump_speed", lambda r: r.value == 12, timeout=5)
        self.assertTrue(reached)
        self.assertIsInstance(readings[-1], KATCPSensorReading)
        self.assertEqual((readings[-1].value, readings[-1].status), (12, "nominal"))
        listed = yield self.resource.list_sensors("speed", tuple=False)
        self.assertEqual([item.object for item in listed], [sensor])
        with self.assertRaises(KATCPSensorError):
            yield self.resource.wait("last_start", 1)

    @tornado.testing.gen_test
    def test_monitoring(self) -> Any:
        told: list[bool] = []
        leave = katcp.core.AsyncEvent()
        monitoring = resource_client.monitor_resource_sync_state(self.resource, told.append, leave)
        yield tornado.gen.sleep(0.001)
        leave.set()
        yield monitoring
        self.assertEqual(told, [False, True])


class Monitor:
    """A bridge that hands on all readings of a device, informs included."""

    def __init__(self, address: Any, ioloop: IOLoop) -> None:
        self.ioloop = ioloop
        self.points: list[Any] = []
        self.informs: list[str] = []
        self.client = KATCPClientResource({"name": "bridge", "address": address})

    @tornado.gen.coroutine
    def start(self) -> Any:
        self.client.start()
        self.client._inspecting_client.katcp_client.hook_inform(
            "sensor-status", lambda message: self.informs.append(message.name)
        )
        yield self.client.until_synced(timeout=PATIENCE)
        yield [
            self.client.set_sampling_strategy(name, "auto") for name in sorted(self.client.sensor)
        ]
        for sensor in dict.values(self.client.sensor):
            self.client.set_sensor_listener(sensor.name, self.on_reading)
            yield sensor.get_reading()

    def on_reading(self, sensor: Any, reading: Any) -> None:
        self.points.append((sensor.name, reading.timestamp, reading.status, reading.value))


class TestScript(unittest.TestCase):
    def test_a_script_that_runs_its_own_loop(self) -> None:
        ioloop = IOLoop()
        try:
            server = Pump()
            ioloop.add_callback(server.start)
            result: dict[str, Any] = {}

            @tornado.gen.coroutine
            def main() -> Any:
                monitor = Monitor(server.bind_address, ioloop)
                yield monitor.start()
                result["points"] = sorted(point[0] for point in monitor.points)
                result["informs"] = set(monitor.informs)
                monitor.client.stop()
                yield monitor.client.until_stopped()
                yield server.stop()
                ioloop.stop()

            ioloop.add_callback(main)
            ioloop.start()
            self.assertEqual(
                result,
                {
                    "points": ["last-start", "pump.flow-rate", "pump.speed"],
                    "informs": {"sensor-status"},
                },
            )
        finally:
            ioloop.close()

    def test_a_resource_with_a_logger_of_the_users(self) -> None:
        logger = logging.getLogger("mine")
        resource = KATCPClientResource({"name": "x", "address": ("h", 1)}, logger=logger)
        self.assertIs(resource._logger, logger)
