"""A client with assertions about the sensors of the device that it is connected to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from katcp.client import BlockingClient
from katcp.compat import ensure_native_str
from katcp.protocol import SEC_TO_MS_FAC, SEC_TS_KATCP_MAJOR, Message

_Result = TypeVar("_Result")


class SensorAsserting(BlockingClient):
    """What `BlockingTestClient` can do about sensors.

    Parameters
    ----------
    test : unittest.TestCase
    *args, **kwargs : object
        Those of `BlockingClient`.
    """

    def __init__(self, test: Any, *args: Any, **kwargs: Any) -> None:
        self.test = test
        super().__init__(*args, **kwargs)

    def _sensor_lag(self) -> float:
        """Return how long after a request the sensors that it sets may lag behind [s]."""
        return 0

    @staticmethod
    def expected_sensor_value_tuple(
        sensorname: str, value: Any, sensortype: Any = str, places: int = 7
    ) -> tuple[str, Any, Any, int]:
        """Return a tuple for those methods that take a list of such."""
        return (sensorname, value, sensortype, places)

    def get_sensor(self, sensorname: str, sensortype: Any = str) -> tuple[Any, str, float]:
        """Ask for the reading of a sensor.

        Parameters
        ----------
        sensorname : str
        sensortype : type
            `int`, `float`, `bool`, `str`, or a function of the value's bytes.

        Returns
        -------
        tuple
            Value, name of the status, time [seconds since 1970].
        """
        reply, informs = self.blocking_request(Message.request("sensor-value", sensorname))
        self.test.assertTrue(
            reply.reply_ok(), f"Could not retrieve sensor {sensorname!r}: {error_of(reply)!r}"
        )
        self.test.assertEqual(
            len(informs), 1, f"Expected one value of sensor {sensorname!r}, got {len(informs)}."
        )
        timestamp, _, _, status, raw_value = informs[0].arguments[:5]
        value: Any
        try:
            if sensortype is bool:
                value = bool(int(raw_value))
            elif sensortype is str:
                value = ensure_native_str(raw_value)
            else:
                value = sensortype(raw_value)
        except ValueError as error:
            self.test.fail(
                f"Could not convert value {raw_value!r} of sensor {sensorname!r} to type "
                f"{sensortype}: {error}"
            )
        seconds = float(timestamp)
        flags = self.protocol_flags
        if flags is not None and flags.major < SEC_TS_KATCP_MAJOR:
            seconds /= SEC_TO_MS_FAC
        return value, ensure_native_str(status), seconds

    def get_sensor_value(self, sensorname: str, sensortype: Any = str) -> Any:
        """Ask for the value of a sensor; see `get_sensor`."""
        return self.get_sensor(sensorname, sensortype)[0]

    def get_sensor_status(self, sensorname: str) -> str:
        """Ask for the name of the status of a sensor."""
        return self.get_sensor(sensorname)[1]

    def get_sensor_timestamp(self, sensorname: str) -> float:
        """Ask for the time of a sensor's reading [seconds since 1970]."""
        return self.get_sensor(sensorname)[2]

    def assert_sensor_equals(
        self,
        sensorname: str,
        expected: Any,
        sensortype: Any = str,
        msg: str | None = None,
        places: int = 7,
        status: str | None = None,
    ) -> None:
        """Check the value of a sensor, and its status if one is given.

        Parameters
        ----------
        sensorname : str
        expected : object
        sensortype : type
            See `get_sensor`.
        msg : str, optional
            Text of the failure.
        places : int
            Decimal places to which floats have to agree.
        status : str, optional
        """
        got, got_status, _ = self.get_sensor(sensorname, sensortype)
        text = f"Value of sensor {sensorname!r} is {got!r}. Expected {expected!r}"
        if sensortype is float:
            self.test.assertAlmostEqual(
                got, expected, places, msg or f"{text} (within {places} decimal places)."
            )
        else:
            self.test.assertEqual(got, expected, msg or f"{text}.")
        if status is not None:
            self._check_status(sensorname, got_status, status, msg)

    def _check_status(self, name: str, got: str, expected: str, msg: str | None) -> None:
        text = f"Status of sensor {name!r} is {got!r}. Expected {expected!r}."
        self.test.assertEqual(got, expected, msg or text)

    def assert_sensor_status_equals(
        self, sensorname: str, expected_status: str, msg: str | None = None
    ) -> None:
        """Check the status of a sensor."""
        self._check_status(sensorname, self.get_sensor_status(sensorname), expected_status, msg)

    def assert_sensor_not_equal(
        self,
        sensorname: str,
        expected: Any,
        sensortype: Any = str,
        msg: str | None = None,
        places: int = 7,
    ) -> None:
        """Check that a sensor has another value."""
        got = self.get_sensor_value(sensorname, sensortype)
        text = f"Value of sensor {sensorname!r} is {got!r}. Expected a different value"
        if sensortype is float:
            self.test.assertNotAlmostEqual(
                got, expected, places, msg or f"{text} (within {places} decimal places)."
            )
        else:
            self.test.assertNotEqual(got, expected, msg or f"{text}.")

    def assert_sensors_equal(
        self, sensor_tuples: Iterable[Sequence[Any]], msg: str | None = None
    ) -> None:
        """Check values of sensors, each given by `expected_sensor_value_tuple`."""
        for expected in sensor_tuples:
            name, value, sensortype, places = self.whole_tuple(expected)
            self.assert_sensor_equals(name, value, sensortype, msg, places)

    def assert_sensors_not_equal(
        self, sensor_tuples: Iterable[Sequence[Any]], msg: str | None = None
    ) -> None:
        """Check that sensors have other values than those given."""
        for expected in sensor_tuples:
            name, value, sensortype, places = self.whole_tuple(expected)
            self.assert_sensor_not_equal(name, value, sensortype, msg, places)

    def whole_tuple(self, expected: Sequence[Any]) -> tuple[str, Any, Any, int]:
        """Fill in what an expected value leaves out."""
        return SensorAsserting.expected_sensor_value_tuple(*expected)

    # -- waiting ------------------------------------------------------------------------

    def wait_condition(
        self, timeout: float, predicate: Callable[..., _Result], *args: Any, **kwargs: Any
    ) -> tuple[_Result, str]:
        """Call ``predicate(*args, **kwargs)`` until it is true.

        Returns
        -------
        tuple
            Its last result, and a text that is empty unless `timeout` seconds have passed.
        """
        return _poll(timeout, 0.02, lambda: predicate(*args, **kwargs))

    def wait_until_sensor_equals(
        self,
        timeout: float,
        sensorname: str,
        value: Any,
        sensortype: Any = str,
        places: int = 7,
        pollperiod: float = 0.02,
    ) -> None:
        """Wait until a sensor has a value.

        Parameters
        ----------
        timeout : float
            Longest wait [s].
        sensorname, value, sensortype, places
            See `assert_sensor_equals`.
        pollperiod : float
            How long to wait before asking again [s].
        """
        last: Any = None

        def has_value() -> bool:
            nonlocal last
            last = self.get_sensor_value(sensorname, sensortype)
            if sensortype is float:
                return bool(last == value or round(abs(last - value), places) == 0)
            return bool(last == value)

        reached, _ = _poll(timeout, pollperiod, has_value)
        if not reached:
            self.test.fail(
                f"Timed out while waiting {timeout}s for {sensorname} sensor to become {value}. "
                f"Last value was {last}."
            )

    def wait_until_sensors_equal(
        self, timeout: float, sensor_tuples: Iterable[Sequence[Any]], msg: str | None = None
    ) -> None:
        """Wait until sensors have values, each given by `expected_sensor_value_tuple`."""
        expected = list(sensor_tuples)

        def have_values() -> bool:
            try:
                self.assert_sensors_equal(expected)
            except self.test.failureException:
                return False
            return True

        reached, _ = _poll(timeout, 0.02, have_values)
        if not reached:
            text = "" if msg is None else f"{msg}: "
            self.assert_sensors_equal(expected, f"{text}timed out after {timeout}s")

    def check_value(self, got: Any, value: Any, sensortype: Any, places: int, text: str) -> None:
        """Check a value, to so many decimal places if it is a float."""
        if sensortype is float:
            text = f"{text} (within {places} decimal places)."
            self.test.assertAlmostEqual(got, value, places, text)
        else:
            self.test.assertEqual(got, value, f"{text}.")


def error_of(reply: Message) -> str | None:
    """Return the text of a failure."""
    if len(reply.arguments) < 2:
        return None
    return reply.arguments[1].decode("utf-8", "replace")


def _poll(timeout: float, period: float, condition: Callable[[], _Result]) -> tuple[_Result, str]:
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result, ""
        if time.monotonic() >= deadline:
            return result, f"Timed out after {timeout} seconds"
        time.sleep(period)
