# Sensors that other threads set, mocks and callbacks that other threads call.

import queue
import threading
import unittest

import tornado.testing
from tornado import gen

from katcp import Sensor
from katcp.testutils import (
    AsyncWaitingMock,
    AtomicIaddCallback,
    SensorTransitionStatusWaiter,
    SensorTransitionWaiter,
    WaitingMock,
    counting_callback,
    suppress_queue_repeats,
    wait_sensor,
    wait_sensor_async,
)


def counter(value=0):
    sensor = Sensor.integer("counter", "", "")
    sensor.set(1, Sensor.NOMINAL, value)
    return sensor


class TestTransitions(unittest.TestCase):
    def setUp(self):
        self.sensor = counter()

    def waiter(self, sequence, *values):
        waiter = SensorTransitionWaiter(self.sensor, sequence)
        for value in values:
            self.sensor.set_value(value)
        return waiter

    def in_thread(self, *values):
        def work():
            for value in values:
                self.sensor.set_value(value)

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)

    def test_sequence(self):
        waiter = self.waiter((0, 1, 2), 1, 1, 2, 2, 3)
        self.assertTrue(waiter.wait(timeout=1))
        self.assertFalse(waiter.timed_out)
        self.assertEqual(waiter.get_received_values(), [0, 1, 2, 2, 3])

    def test_thread(self):
        waiter = self.waiter((0, 1, 2))
        self.in_thread(1, 2)
        self.assertTrue(waiter.wait())

    def test_wrong_value(self):
        for values in ((1, 5, 2), (1, 0, 1, 2), (2,)):
            self.sensor.set_value(0)
            waiter = self.waiter((0, 1, 2), *values)
            self.assertFalse(waiter.wait(timeout=1))
            self.assertFalse(waiter.timed_out)

    def test_too_late(self):
        waiter = self.waiter((0, 1, 2), 1)
        self.assertFalse(waiter.wait(timeout=0.05))
        self.assertTrue(waiter.timed_out)
        self.sensor.set_value(2)
        self.assertEqual(waiter.get_received_values(), [0, 1])

    def test_predicates(self):
        small, large = (lambda v: v < 5), (lambda v: v >= 5)
        self.assertTrue(self.waiter((small, large, 2), 1, 2, 7, 8, 2).wait(timeout=1))
        self.assertTrue(self.waiter((2, lambda v: True, 4), 3, 4).wait(timeout=1))

    def test_beginning(self):
        with self.assertRaises(ValueError):
            SensorTransitionWaiter(self.sensor, (1, 2))
        self.assertTrue(SensorTransitionWaiter(self.sensor, (0,)).wait(timeout=0.05))
        self.assertTrue(SensorTransitionWaiter(self.sensor, (0, 0)).wait(timeout=0.05))

    def test_once_only(self):
        waiter = self.waiter((0, 1), 1)
        waiter.wait(timeout=1)
        with self.assertRaises(RuntimeError):
            waiter.wait(timeout=1)
        waiter = self.waiter((1, 2))
        waiter.teardown()
        with self.assertRaises(RuntimeError):
            waiter.wait(timeout=1)

    def test_recording(self):
        waiter = self.waiter(None, 1, 1, 2)
        self.assertEqual(waiter.get_received_values(stop=False, reset=True), [0, 1, 1, 2])
        self.sensor.set_value(9)
        self.assertEqual(waiter.get_received_values(stop=True, reset=False), [9])
        self.sensor.set_value(10)
        self.assertEqual(waiter.get_received_values(), [9])
        self.assertEqual(waiter.get_received_values(), [])

    def test_status(self):
        waiter = SensorTransitionStatusWaiter(
            self.sensor, ((Sensor.NOMINAL, 0), lambda reading: reading == (Sensor.WARN, 2))
        )
        self.sensor.set_value(2, Sensor.WARN)
        self.assertTrue(waiter.wait(timeout=1))
        self.assertEqual(waiter.get_received_values(), [(Sensor.NOMINAL, 0), (Sensor.WARN, 2)])


class TestWaitSensor(tornado.testing.AsyncTestCase):
    def test_wait_sensor(self):
        sensor = counter()
        self.assertTrue(wait_sensor(sensor, 0))
        self.assertTrue(wait_sensor(sensor, lambda value: value == 0))
        self.assertFalse(wait_sensor(sensor, 1, timeout=0.02))
        self.assertFalse(wait_sensor(sensor, 0, Sensor.WARN, timeout=0.02))
        timer = threading.Timer(0.02, sensor.set_value, (1, Sensor.WARN))
        timer.start()
        self.assertTrue(wait_sensor(sensor, 1, Sensor.WARN))
        timer.join()

    @tornado.testing.gen_test
    def test_wait_sensor_async(self):
        sensor = counter()
        result = yield wait_sensor_async(sensor, 0)
        self.assertTrue(result)
        future = wait_sensor_async(sensor, 3, Sensor.WARN)
        sensor.set_value(3)
        yield gen.moment
        self.assertFalse(future.done())
        sensor.set_value(3, Sensor.WARN)
        result = yield future
        self.assertTrue(result)
        future = wait_sensor_async(sensor, 4, ioloop=self.io_loop)
        timer = threading.Timer(0.02, sensor.set_value, (4,))
        timer.start()
        result = yield future
        self.assertTrue(result)
        timer.join()


class TestMocks(tornado.testing.AsyncTestCase):
    def test_waiting_mock(self):
        mock = WaitingMock(return_value=5)
        timer = threading.Timer(0.02, mock, ("late",))
        timer.start()
        mock.assert_wait_call_count(1)
        timer.join()
        mock.assert_called_once_with("late")
        self.assertEqual(mock("more"), 5)
        mock.assert_wait_call_count(2, timeout=0)
        with self.assertRaises(AssertionError):
            mock.assert_wait_call_count(3, timeout=0.02)
        mock.reset_mock()
        self.assertEqual(mock.call_count, 0)
        with self.assertRaises(AssertionError):
            mock.assert_wait_call_count(1, timeout=0.02)
        mock.child(1)
        mock.child.assert_wait_call_count(1)

    @tornado.testing.gen_test
    def test_async_waiting_mock(self):
        mock = AsyncWaitingMock()
        self.io_loop.call_later(0.02, mock, "late")
        yield mock.assert_wait_call_count(1)
        mock.assert_called_once_with("late")
        yield mock.assert_wait_call_count(1, timeout=0)
        with self.assertRaises(AssertionError):
            yield mock.assert_wait_call_count(2, timeout=0.02)

    def test_counting_callback(self):
        @counting_callback(number_of_calls=2)
        def callback(x, y=2):
            if x is None:
                raise ValueError("no x")
            return x + y

        self.assertFalse(callback.wait(timeout=0.02))
        with self.assertRaises(AssertionError):
            callback.assert_wait(timeout=0.02)
        self.assertEqual(callback(1), 3)
        with self.assertRaises(ValueError):
            callback(None)
        self.assertEqual(callback.get_no_calls(), 1)
        timer = threading.Timer(0.02, callback, (1,))
        timer.start()
        callback.assert_wait()
        timer.join()
        self.assertTrue(callback.done.is_set())
        callback.reset()
        self.assertEqual((callback.get_no_calls(), callback.done.is_set()), (0, False))

    def test_counting_callback_with_event(self):
        event = threading.Event()
        callback = counting_callback(event)(lambda: "called")
        self.assertEqual(callback(), "called")
        self.assertTrue(event.is_set())
        self.assertIs(callback.done, event)

    def test_atomic_iadd(self):
        sums = []
        number = AtomicIaddCallback(3, sums.append)
        same = number
        number += 2
        number += 1
        self.assertEqual((number, same, sums), (6, 6, [5, 6]))
        self.assertIsInstance(number, AtomicIaddCallback)

    def test_queue_without_repeats(self):
        items = queue.Queue()
        for item in (1, 1, 2, 2, 3, 1):
            items.put(item)
        self.assertEqual(list(suppress_queue_repeats(items, 1, read_time=0.02)), [2, 3, 1])
        items.put(7)
        self.assertEqual(next(suppress_queue_repeats(items, 0)), 7)


if __name__ == "__main__":
    unittest.main()
