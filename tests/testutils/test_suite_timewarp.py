# Tests that own the clock of their loop: strategies, a device, a coroutine that waits.

import time
import unittest

import tornado.testing
from tornado import gen

from katcp import AsyncClient, AsyncDeviceServer, Message, Sensor
from katcp.sampling import SampleStrategy
from katcp.testutils import (
    DeviceTestSensor,
    TimewarpAsyncTestCase,
    WaitingMock,
)


class TestClock(TimewarpAsyncTestCase):
    @tornado.testing.gen_test
    def test_timers(self):
        fired = []
        self.assertEqual((self.ioloop_time, self.io_loop.time()), (0, 0))
        self.io_loop.call_later(2, fired.append, "later")
        self.io_loop.call_at(1, fired.append, "at")
        cancelled = self.io_loop.add_timeout(1.5, lambda: fired.append("never"))
        yield self.set_ioloop_time(0.9)
        self.assertEqual(fired, [])
        yield self.set_ioloop_time(1)
        self.assertEqual(fired, ["at"])
        self.io_loop.remove_timeout(cancelled)
        yield self.set_ioloop_time(4.5)
        self.assertEqual(fired, ["at", "later"])
        self.assertEqual((self.ioloop_time, self.io_loop.time()), (4.5, 4.5))

    @tornado.testing.gen_test
    def test_it_does_not_go_back(self):
        yield self.set_ioloop_time(2)
        with self.assertRaises(AssertionError):
            self.set_ioloop_time(1)

    @tornado.testing.gen_test
    def test_waking(self):
        called = []
        self.io_loop.add_callback(called.append, 1)
        yield self.wake_ioloop()
        self.assertEqual(called, [1])
        self.io_loop.call_at(1, called.append, 2)
        self.assertIs(self.set_ioloop_time(1.5, wake_ioloop=False), None)
        yield self.wake_ioloop()
        self.assertEqual(called, [1, 2])

    @tornado.testing.gen_test
    def test_sleeping_coroutine(self):
        @gen.coroutine
        def job():
            yield gen.sleep(2)
            raise gen.Return("done")

        future = job()
        yield self.set_ioloop_time(1.9)
        self.assertFalse(future.done())
        yield self.set_ioloop_time(2.1)
        result = yield future
        self.assertEqual(result, "done")

    def test_wait(self):
        self.io_loop.call_later(3, self.stop, "stopped")
        self.io_loop.add_callback(self.set_ioloop_time, 3)
        self.assertEqual(self.wait(), "stopped")


class TestStrategies(TimewarpAsyncTestCase):
    def setUp(self):
        super().setUp()
        self.sensor = DeviceTestSensor(
            Sensor.INTEGER, "an.int", "", "count", [-40, 30], 12345, Sensor.NOMINAL, 3
        )
        self.reports = []

    def strategy(self, name, *params):
        made = SampleStrategy.get_strategy(
            name,
            lambda sensor, reading: self.reports.append((self.io_loop.time(), reading.value)),
            self.sensor,
            *params,
            ioloop=self.io_loop,
        )
        made.start()
        self.addCleanup(made.cancel)
        return made

    @tornado.testing.gen_test
    def test_period(self):
        self.strategy("period", 1)
        yield self.wake_ioloop()
        for tenth in range(1, 35):
            yield self.set_ioloop_time(tenth / 10.0)
        self.assertEqual(self.reports, [(0, 3), (1, 3), (2, 3), (3, 3)])

    @tornado.testing.gen_test
    def test_event(self):
        self.strategy("event")
        yield self.wake_ioloop()
        self.sensor.set_value(4)
        yield self.set_ioloop_time(1)
        self.sensor.set_value(4)
        yield self.set_ioloop_time(2)
        self.sensor.set_value(5)
        yield self.wake_ioloop()
        self.assertEqual([value for _, value in self.reports], [3, 4, 5])

    @tornado.testing.gen_test
    def test_event_rate(self):
        self.strategy("event-rate", 1, 3)
        yield self.wake_ioloop()
        self.assertEqual(self.reports, [(0, 3)])
        yield self.set_ioloop_time(0.5)
        self.sensor.set_value(7)
        yield self.wake_ioloop()
        self.assertEqual(len(self.reports), 1)
        yield self.set_ioloop_time(1)
        self.assertEqual(self.reports[1:], [(1, 7)])
        yield self.set_ioloop_time(3.9)
        self.assertEqual(len(self.reports), 2)
        yield self.set_ioloop_time(4)
        self.assertEqual(self.reports[2:], [(4, 7)])

    @tornado.testing.gen_test
    def test_cancelled(self):
        strategy = self.strategy("period", 1)
        yield self.wake_ioloop()
        strategy.cancel()
        yield self.wake_ioloop()
        yield self.set_ioloop_time(4)
        self.assertEqual(self.reports, [(0, 3)])


class Blinker(AsyncDeviceServer):
    """Blinks every second."""

    asked = False

    def setup_sensors(self):
        self.add_sensor(Sensor.boolean("lit", "Whether it is lit.", default=False))

    @gen.coroutine
    def blink(self, times):
        for _ in range(times):
            yield gen.sleep(1)
            lit = self.get_sensor("lit")
            lit.set_value(not lit.value())

    @gen.coroutine
    def request_blink(self, req, msg):
        """Blink so many times, then reply."""
        self.asked = True
        yield self.blink(int(msg.arguments[0]))
        raise gen.Return(req.make_reply("ok"))


class TestDevice(TimewarpAsyncTestCase):
    def setUp(self):
        super().setUp()
        self.device = Blinker("127.0.0.1", 0)

    @gen.coroutine
    def until(self, condition):
        deadline = time.time() + 10
        while not condition() and time.time() < deadline:
            yield self.wake_ioloop()

    @tornado.testing.gen_test
    def test_blinking(self):
        lit = self.device.get_sensor("lit")
        future = self.device.blink(3)
        seen = []
        for half in range(1, 8):
            yield self.set_ioloop_time(half / 2.0 + 0.01)
            yield self.wake_ioloop()
            seen.append(lit.value())
        self.assertEqual(seen, [False, True, True, False, False, True, True])
        yield future

    @tornado.testing.gen_test
    def test_over_a_socket(self):
        self.device.start()
        client = AsyncClient(*self.device.bind_address, timeout=None)
        client.set_ioloop(self.io_loop)
        client.start()
        yield client.until_protocol()
        replied = WaitingMock()
        client.callback_request(Message.request("blink", 1), reply_cb=replied)
        yield self.until(lambda: self.device.asked)
        yield self.set_ioloop_time(0.9)
        self.assertFalse(self.device.get_sensor("lit").value())
        yield self.set_ioloop_time(1.1)
        yield self.until(lambda: replied.called)
        self.assertTrue(replied.call_args[0][0].reply_ok())
        self.assertTrue(self.device.get_sensor("lit").value())
        client.stop()
        yield client.until_stopped()
        yield self.device.stop()


if __name__ == "__main__":
    unittest.main()
