"""Sensors that tell how an executor is doing."""

from __future__ import annotations

from typing import Any

from katcp.orders._executor import OrderExecutor
from katcp.orders._outcome import Outcome
from katcp.orders._section import Section
from katcp.sensors import Sensor
from katcp.server import DeviceServer

#: Most ids in ``orders.current-section``.
_MOST_IDS = 10


class OrderSensors:
    """The sensors ``orders.*`` of a device.

    ``queue-length`` and ``oldest-wait`` are of the sections that wait, ``state`` is that of the
    executor, ``current-section`` has the ids of those that run, with commas between them,
    ``sections-done`` and ``sections-failed`` count sections that have ended. ``last-failure`` says
    which order was not carried out last; it has the status `error` until a section is done after
    that.

    Parameters
    ----------
    device : DeviceServer
        Gets the sensors.
    executor : OrderExecutor
    """

    def __init__(self, device: DeviceServer, executor: OrderExecutor) -> None:
        self._executor = executor
        self._queue_length = Sensor.integer(
            "orders.queue-length", "Sections that wait to be started", default=0
        )
        self._state = Sensor.discrete(
            "orders.state",
            "What the executor is at",
            params=["idle", "running", "paused", "stopping"],
        )
        self._current = Sensor.string("orders.current-section", "Sections that run", default="")
        self._done = Sensor.integer("orders.sections-done", "Sections that have ended", default=0)
        self._failed = Sensor.integer(
            "orders.sections-failed", "Sections of which not all was carried out", default=0
        )
        self._last_failure = Sensor.string(
            "orders.last-failure", "The order that was not carried out last", default=""
        )
        self._oldest_wait = Sensor.float(
            "orders.oldest-wait", "How long the first in the queue has waited", "s", default=0.0
        )
        self._all = (
            self._queue_length,
            self._state,
            self._current,
            self._done,
            self._failed,
            self._last_failure,
            self._oldest_wait,
        )
        self._told: tuple[Section, Outcome] | None = None
        for sensor in self._all:
            sensor.set_value(sensor.value())
            device.add_sensor(sensor)

    def renew(self) -> None:
        """Show what is so now; to be called when something has changed."""
        executor = self._executor
        current = [section.section_id or "" for section in executor.current_sections]
        more = ",..." if len(current) > _MOST_IDS else ""
        _show(self._queue_length, executor.queue_length)
        _show(self._state, executor.state)
        _show(self._current, ",".join(current[:_MOST_IDS]) + more)
        _show(self._done, executor.sections_done)
        _show(self._failed, executor.sections_failed)
        self.renew_wait()

    def renew_wait(self) -> None:
        """Show how long the first in the queue has waited; to be called now and then."""
        _show(self._oldest_wait, round(self._executor.oldest_wait, 3))

    def section_ended(self, section: Section) -> None:
        """Tell of the last failure, or that it is over."""
        last = self._executor.last_failure
        if last is not None and last is not self._told:
            self._told = last
            failed, outcome = last
            self._last_failure.set_value(f"{failed.section_id}: {outcome}", Sensor.ERROR)
        elif section.state == "done" and self._last_failure.status() == Sensor.ERROR:
            self._last_failure.set_value(self._last_failure.value())


def _show(sensor: Sensor, value: Any) -> None:
    if sensor.value() != value:
        sensor.set_value(value)
