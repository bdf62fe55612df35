from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from katcp import Sensor
from katcp.testutils import SensorTransitionWaiter, wait_sensor, wait_sensor_async


def counter() -> Sensor:
    sensor = Sensor.integer("counter")
    sensor.set(1, Sensor.NOMINAL, 0)
    return sensor


def test_looking_at_the_values_does_not_take_them_from_the_wait() -> None:
    sensor = counter()
    waiter = SensorTransitionWaiter(sensor, (0, 1, 2))
    sensor.set_value(1)
    assert waiter.get_received_values(stop=False, reset=False) == [0, 1]
    sensor.set_value(2)
    assert waiter.wait(timeout=1)


def test_what_was_forgotten_is_not_waited_for() -> None:
    sensor = counter()
    waiter = SensorTransitionWaiter(sensor, (lambda value: value < 2, 2))
    sensor.set_value(1)
    assert waiter.get_received_values(stop=False) == [0, 1]
    sensor.set_value(2)
    assert waiter.wait(timeout=1)
    assert waiter.get_received_values() == [2]


def test_there_must_be_something_to_wait_for() -> None:
    waiter = SensorTransitionWaiter(counter())
    with pytest.raises(TypeError, match="no sequence"):
        waiter.wait(timeout=0)


def test_nothing_is_left_on_the_sensor() -> None:
    sensor = counter()
    waiter = SensorTransitionWaiter(sensor, (0, 1))
    waiter.wait(timeout=0)
    waiter.teardown()
    assert not wait_sensor(sensor, 1, timeout=0)
    assert not sensor._observers
    gone = weakref.ref(waiter)
    del waiter
    gc.collect()
    assert gone() is None


def test_value_by_function_and_status() -> None:
    sensor = counter()
    assert wait_sensor(sensor, lambda value: value == 0, Sensor.NOMINAL)
    assert not wait_sensor(sensor, lambda value: value == 0, Sensor.WARN, timeout=0)


async def test_async_by_function_and_status() -> None:
    sensor = counter()
    future = wait_sensor_async(sensor, lambda value: value > 1, Sensor.WARN)
    sensor.set_value(2)
    assert not future.done()
    sensor.set_value(3, Sensor.WARN)
    sensor.set_value(0)  # what has been is enough
    assert await future
    assert not sensor._observers


async def test_async_is_woken_by_other_threads() -> None:
    sensor = counter()
    future = wait_sensor_async(sensor, 5)
    thread = threading.Thread(target=sensor.set_value, args=(5,))
    thread.start()
    assert await asyncio.wait_for(future, 5)
    thread.join()


async def test_async_that_is_cancelled_watches_no_more() -> None:
    sensor = counter()
    future = wait_sensor_async(sensor, 5)
    assert len(sensor._observers) == 1
    future.cancel()
    await asyncio.sleep(0)
    assert not sensor._observers


def test_async_needs_a_loop() -> None:
    with pytest.raises(RuntimeError, match="No loop"):
        wait_sensor_async(counter(), 5)
