"""How an endpoint reports itself: checks by schedule, a rule that picks, alerts that tell.

A check reads the endpoint and, if the rule says so, broadcasts what it found. A check that fails
is counted and logged, once until one succeeds again, and the schedule goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from katcp.aio import loop_of
from katcp.endpoints._alerts import AlertHub, checked_key
from katcp.endpoints._blocking import running_loop
from katcp.endpoints._codes import EndpointError, InvalidValueError
from katcp.endpoints._logging._rule import LoggingRule, Reference
from katcp.endpoints._logging._schedule import Schedule
from katcp.endpoints._seldom import Seldom
from katcp.endpoints._values import EndpointReading
from katcp.sensors import Sensor

if TYPE_CHECKING:
    from katcp.endpoints._logging._logged import LoggedEndpoint

log = logging.getLogger("katcp.endpoints")

#: First word of the routing key of alerts: those who keep values listen to it.
DEFAULT_ROUTING_KEY = "sensor_value"

_WORDS = {
    "on": "on",
    "start": "on",
    "1": "on",
    "true": "on",
    "off": "off",
    "stop": "off",
    "0": "off",
    "false": "off",
    "restart": "restart",
}


def state_word(word: Any) -> str:
    """Return what is asked of a schedule: ``on``, ``off`` or ``restart``.

    Parameters
    ----------
    word : str, bool or int
        ``on``, ``start``, ``1``, ``true``; ``off``, ``stop``, ``0``, ``false``; ``restart``. In
        any case of letters; what YAML makes of these is taken too.

    Raises
    ------
    ValueError
        For anything else.
    """
    text = str(word).strip().lower() if isinstance(word, (str, bool, int)) else ""
    if text not in _WORDS:
        raise ValueError(f"one of on, off and restart is expected, not {word!r}")
    return _WORDS[text]


class Logging:
    """What reports one endpoint.

    Parameters
    ----------
    endpoint : LoggedEndpoint
    rule : LoggingRule
        Which checks broadcast.
    interval : float
        Between two checks [s]; 0: none.
    delay_start : bool
        Whether the first check is one interval after the schedule is turned on.
    log_on_set : bool
        Whether each successful set broadcasts, whatever the rule says.
    routing_key : str
        First part of the routing key of alerts; the name of the endpoint follows.

    Attributes
    ----------
    schedule : Schedule
    rule : LoggingRule
    log_on_set : bool
    errors : int
        Checks that failed.
    """

    def __init__(
        self,
        endpoint: LoggedEndpoint,
        rule: LoggingRule,
        *,
        interval: float = 0.0,
        delay_start: bool = False,
        log_on_set: bool = False,
        routing_key: str = DEFAULT_ROUTING_KEY,
    ) -> None:
        self._endpoint = endpoint
        self.rule = rule
        self.schedule = Schedule(
            self._scheduled, interval, delay_start=delay_start, on_change=self._show_state
        )
        self.log_on_set = bool(log_on_set)
        self.routing_key = routing_key
        self.errors = 0
        self._failing = False
        self._told = False
        self._seldom = Seldom()
        self._hub: AlertHub | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last: Reference | None = None
        self._due: float | None = None
        self._remark = ""

    # -- settings -----------------------------------------------------------------------

    @property
    def routing_key(self) -> str:
        """First part of the routing key of alerts."""
        return self._routing_key

    @routing_key.setter
    def routing_key(self, key: str) -> None:
        if not isinstance(key, str):
            raise ValueError(f"alert_routing_key must be a text, not {key!r}")
        checked_key(f"{key}.{self._endpoint.name}" if key else "")
        self._routing_key = key

    def change_rule(self, **changes: Any) -> None:
        """Replace parts of the rule.

        Raises
        ------
        ValueError
            If one is bad; the rule stays as it was.
        """
        self.rule = dataclasses.replace(self.rule, **changes)

    @property
    def state(self) -> str:
        """``on`` or ``off``: whether it is checked by schedule."""
        return "on" if self.schedule.is_on else "off"

    def set_state(self, word: Any) -> str:
        """Turn the schedule on or off, or have it begin anew; return the state.

        Raises
        ------
        ValueError
            If it is none of the words of `state_word`.
        InvalidValueError
            If it is to be on but has no interval (304); it stays as it was.
        """
        what = state_word(word)
        if what == "off":
            self.schedule.stop()
        elif not self.schedule.interval:
            raise InvalidValueError(f"{self._endpoint.path} has no schedule_interval")
        elif what == "on":
            self.schedule.start()
        else:
            self.schedule.restart()
        return self.state

    def set_interval(self, interval: float) -> None:
        """Set the interval of the schedule [s]; 0 turns it off, and leaves a remark if it was on.

        Raises
        ------
        ValueError
            If it is none.
        """
        was_on = self.schedule.is_on
        self.schedule.interval = interval
        if was_on and not self.schedule.is_on:
            self._remark = f"the schedule of {self._endpoint.path} was on and is off now"

    def take_remark(self) -> str:
        """Return, once, what whoever changed a setting should be told; empty: nothing."""
        remark, self._remark = self._remark, ""
        return remark

    # -- while it is served -------------------------------------------------------------

    def begin(self, hub: AlertHub) -> None:
        """Send alerts to a hub, and check by schedule if that is on; in the loop."""
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self.schedule.begin()
        self._show_state()

    def end(self) -> None:
        """End that; nothing is under way afterwards. A schedule that is on will go on."""
        self.schedule.end()
        self._hub = self._loop = None

    def _show_state(self) -> None:
        sensors = self._endpoint.sensors
        if sensors is not None and sensors.logging is not None:
            sensors.logging.set_value(self.schedule.is_on)

    # -- checks -------------------------------------------------------------------------

    async def _scheduled(self, due: float) -> None:
        self._due = due  # what is late is compared by when it should have been
        try:
            result = self._endpoint.scheduled_action()
            if inspect.isawaitable(result):
                await result
        finally:
            self._due = None

    async def check(self) -> bool:
        """Read the endpoint, and broadcast what it gave if the rule says so.

        Returns
        -------
        bool
            Whether it was broadcast.
        """
        endpoint = self._endpoint
        now = loop_of().time() if self._due is None else self._due
        was_on = self._due is not None and self.schedule.is_on
        try:
            reading = await endpoint.read()
        except EndpointError as error:
            self._failed(error)
            # Without a calibrated value, there still is a raw one.
            reading = endpoint.reading
            if reading.status != Sensor.ERROR:
                reading = EndpointReading(None, None, time.time(), Sensor.FAILURE)
        else:
            self._recovered()
        if was_on and not self.schedule.is_on:
            return False  # it was turned off meanwhile
        if self.rule.reason(self._last, now, self._field(reading)) is None:
            return False
        self._broadcast(reading, now)
        return True

    def _failed(self, error: EndpointError) -> None:
        self.errors += 1
        if self._failing:
            return
        self._failing = True
        # One that fails each other time would fill the log all the same.
        count = self._seldom.left_out("failed")
        self._told = count is not None
        if count is not None:
            told = Seldom.told(count)
            log.warning("A check of %s failed: %s%s", self._endpoint.path, error, told)

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            if self._told:
                log.info("Checks of %s succeed again", self._endpoint.path)

    def _field(self, reading: EndpointReading) -> Any:
        """Return what the rule looks at."""
        calibration = self._endpoint.calibrated
        if self.rule.check_field == "value_raw" or calibration is None or reading.raw is None:
            return reading.raw
        if reading.cal is not None:
            return reading.cal
        try:  # it was set, and not read back
            return calibration.apply(reading.raw)
        except InvalidValueError:
            return None

    # -- alerts -------------------------------------------------------------------------

    def was_set(self, value: Any, reading: EndpointReading | None) -> None:
        """Broadcast what the endpoint was set to, if `log_on_set`; checks compare with it then."""
        if not self.log_on_set:
            return
        if reading is None:
            reading = EndpointReading(value, None, time.time(), Sensor.NOMINAL)
        self._broadcast(reading, loop_of().time())

    def _broadcast(self, reading: EndpointReading, now: float) -> None:
        values: dict[str, Any] = {} if reading.raw is None else reading.payload()
        if reading.status != Sensor.NOMINAL:
            values["status"] = Sensor.STATUSES[reading.status]
        self._last = Reference(self._field(reading), now)
        self.send(values)

    def send(self, values: Mapping[str, Any], routing_key: str | None = None) -> int:
        """Send an alert about the endpoint, with its address as ``path``.

        From a thread other than that of the loop it is sent soon.

        Parameters
        ----------
        values : mapping
        routing_key : str, optional
            First part of the routing key; by default that of the endpoint.

        Returns
        -------
        int
            How many took it; 0 from another thread, where nobody knows yet.
        """
        endpoint = self._endpoint
        loop = self._loop
        if self._hub is None or loop is None:
            return 0
        if running_loop() is not loop:
            loop.call_soon_threadsafe(self.send, values, routing_key)
            return 0
        key = self._routing_key if routing_key is None else routing_key
        count = self._hub.publish(f"{key}.{endpoint.name}", {**values, "path": endpoint.address})
        sensors = endpoint.sensors
        if sensors is not None and sensors.last_alert is not None:
            sensors.last_alert.set_value(time.time())
        return count
