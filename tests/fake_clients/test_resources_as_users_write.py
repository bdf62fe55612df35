# ruff: noqa: C408, PT009, PT027, UP031
"""Tests of resources and containers as users of katcp-python 0.9.3 write them.

This file passes there as well as here.
"""

import unittest

import tornado.testing
from tornado import gen

from katcp import resource_client
from katcp.fake_clients import (
    FakeKATCPClientResourceContainerManager,
    FakeKATCPClientResourceManager,
    fake_KATCP_client_resource_container_factory,
    fake_KATCP_client_resource_factory,
)
from katcp.kattypes import Float, Str, request, return_reply
from katcp.resource import KATCPReply


class Pump:
    """Handlers of a pump."""

    @request(Float())
    @return_reply(Str())
    def request_set_speed(self, req, speed):
        """Set the speed."""
        req.inform("setting", speed)
        if speed > 10:
            return ("fail", "too fast")
        return ("ok", "now %g" % speed)


SENSORS = {
    "speed.actual": ("How fast it is", "m/s", "float", b"0.0", b"10.0"),
    "on": ("Whether it runs", "", "boolean"),
}


class TestFakeResource(tornado.testing.AsyncTestCase):
    def setUp(self):
        super().setUp()
        self.resource, self.manager = fake_KATCP_client_resource_factory(
            resource_client.KATCPClientResource,
            {},
            dict(name="pump", address=("", 1), controlled=True),
        )

    def tearDown(self):
        if self.resource.is_connected():
            self.resource.stop()
        self.io_loop.run_sync(lambda: gen.sleep(0.01))
        super().tearDown()

    @gen.coroutine
    def changed(self):
        yield self.resource.until_not_synced(timeout=2)
        yield self.resource.until_synced(timeout=2)

    @tornado.testing.gen_test
    def test_before_start(self):
        self.assertIsInstance(self.resource, resource_client.KATCPClientResource)
        self.assertIsInstance(self.manager, FakeKATCPClientResourceManager)
        for manage in (
            lambda: self.manager.fake_sensor_infos,
            lambda: self.manager.add_sensors(SENSORS),
            lambda: self.manager.add_request_handlers_object(Pump()),
            lambda: self.manager.add_request_handlers_dict({}),
        ):
            with self.assertRaises(RuntimeError):
                manage()
        self.resource.start()
        self.assertEqual(self.manager.fake_sensor_infos, {})
        yield self.resource.until_synced(timeout=2)

    @tornado.testing.gen_test
    def test_sensors(self):
        self.resource.start()
        self.manager.add_sensors(SENSORS)
        yield self.resource.until_synced(timeout=2)
        self.assertEqual(self.resource.state, "synced")
        self.assertTrue(self.resource.is_connected())
        self.assertEqual(sorted(self.resource.sensor), ["on", "speed_actual"])
        sensor = self.resource.sensor.speed_actual
        self.assertEqual(sensor.name, "speed.actual")
        self.assertEqual(sensor.units, "m/s")
        self.assertEqual(sensor.type, "float")
        self.manager.add_sensors({"more": ("", "", "string")})
        yield self.changed()
        self.assertEqual(sorted(self.resource.sensor), ["more", "on", "speed_actual"])
        # As if the device had sent it.
        sensor.set(1234.5, 1, 2.5)
        self.assertEqual(sensor.value, 2.5)
        self.assertEqual(sensor.status, "nominal")
        heard = []
        sensor.register_listener(lambda sensor, reading: heard.append(reading.value), reading=True)
        sensor.set_value(3.5)
        self.assertEqual(heard, [3.5])
        result = yield sensor.set_strategy("event")
        self.assertEqual(tuple(result), (True, ("event",)))

    @tornado.testing.gen_test
    def test_requests(self):
        self.resource.start()
        yield self.resource.until_synced(timeout=2)
        self.assertEqual(sorted(self.resource.req), ["help", "sensor_list"])
        self.manager.add_request_handlers_object(Pump())
        yield self.changed()
        self.assertEqual(sorted(self.resource.req), ["help", "sensor_list", "set_speed"])
        answer = yield self.resource.req.set_speed(2.5)
        self.assertIsInstance(answer, KATCPReply)
        self.assertTrue(answer.succeeded)
        self.assertEqual(answer.reply.arguments, [b"ok", b"now 2.5"])
        self.assertEqual(answer.informs[0].arguments, [b"setting", b"2.5"])
        reply, informs = yield self.resource.req.set_speed(99)
        self.assertFalse(reply.reply_ok())
        self.assertEqual(reply.arguments[1], b"too fast")
        self.assertEqual(len(informs), 1)

        def halt(req, msg):
            """Say that this is no good idea."""
            return req.make_reply("fail", "no good idea")

        self.manager.add_request_handlers_dict({"halt": halt})
        yield self.changed()
        answer = yield self.resource.req.halt()
        self.assertFalse(answer)

    @tornado.testing.gen_test
    def test_stop(self):
        self.resource.start()
        yield self.resource.until_synced(timeout=2)
        self.resource.stop()
        yield self.resource.until_stopped(timeout=2)


class TestFakeContainer(tornado.testing.AsyncTestCase):
    @tornado.testing.gen_test
    def test_container(self):
        spec = dict(
            name="plant",
            description="Pumps",
            clients={
                "pump-1": dict(address=("one", 1), controlled=True),
                "pump2": dict(address=("two", 2), controlled=True),
            },
        )
        container, manager = fake_KATCP_client_resource_container_factory(
            resource_client.KATCPClientResourceContainer, {}, spec
        )
        self.assertIsInstance(container, resource_client.KATCPClientResourceContainer)
        self.assertIsInstance(manager, FakeKATCPClientResourceContainerManager)
        self.assertEqual(sorted(manager.child_managers), ["pump2", "pump_1"])
        with self.assertRaises(RuntimeError):
            manager.add_sensors("pump2", SENSORS)
        container.start()
        self.assertIsInstance(manager.child_managers["pump_1"], FakeKATCPClientResourceManager)
        manager.add_sensors("pump_1", SENSORS)
        manager.add_sensors("pump2", {"on": SENSORS["on"]})
        manager.add_request_handlers_object("pump_1", Pump())
        with self.assertRaises(KeyError):
            manager.add_sensors("pump3", SENSORS)
        yield container.until_synced(timeout=2)
        self.assertEqual(sorted(container.sensor), ["pump2_on", "pump_1_on", "pump_1_speed_actual"])
        reply, _ = yield container.children.pump_1.req.set_speed(5)
        self.assertEqual(reply.arguments, [b"ok", b"now 5"])
        self.assertEqual(sorted(container.children.pump2.req), ["help", "sensor_list"])

        def stop(req, msg):
            """Stop."""
            return req.make_reply("ok")

        manager.add_request_handlers_dict("pump2", {"stop": stop})
        yield container.children.pump2.until_not_synced(timeout=2)
        yield container.until_synced(timeout=2)
        answer = yield container.children.pump2.req.stop()
        self.assertTrue(answer)
        container.stop()
        yield gen.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
