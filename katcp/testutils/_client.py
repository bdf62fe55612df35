"""A client with assertions about the device that it is connected to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from katcp.client import KatcpClientDisconnected, make_threadsafe
from katcp.compat import ensure_native_str, is_text
from katcp.protocol import Message
from katcp.server import DeviceServer
from katcp.testutils._asserting import SensorAsserting, error_of
from katcp.testutils._messages import list_to_native_strings
from katcp.testutils._recorder import MessageRecorder

#: Requests that `BlockingTestClient.test_help` leaves out.
_DEFAULT_REQUESTS = frozenset(
    DeviceServer._request_handlers  # noqa: SLF001  # what `BASE_REQUESTS` has besides is no default
)


class BlockingTestClient(SensorAsserting):
    """A `BlockingClient` with assertions about the device, for tests.

    Its methods, also those whose names begin with ``test_``, are called by a test; they fail it
    by the methods of `test`.

    Parameters
    ----------
    test : unittest.TestCase
    *args, **kwargs : object
        Those of `BlockingClient`.
    """

    def __init__(self, test: Any, *args: Any, **kwargs: Any) -> None:
        self._message_recorders: list[MessageRecorder] = []
        super().__init__(test, *args, **kwargs)

    # -- messages -----------------------------------------------------------------------

    @make_threadsafe
    def raw_send(self, chunk: bytes) -> None:
        """Send bytes as they are; from any thread."""
        link = self._link
        if link is None or link.closed:
            raise KatcpClientDisconnected(f"Not connected to device {self.bind_address_string}")
        link.send(chunk)

    def handle_inform(self, msg: Message) -> Any:
        """Record an inform, then handle it."""
        self._record(msg)
        return super().handle_inform(msg)

    def handle_reply(self, msg: Message) -> Any:
        """Record a reply, then handle it."""
        self._record(msg)
        return super().handle_reply(msg)

    def _record(self, msg: Message) -> None:
        for recorder in self._message_recorders:
            recorder.append_msg(msg)

    def message_recorder(
        self,
        whitelist: Iterable[str] = (),
        blacklist: Iterable[str] = (),
        regex_filter: str | None = None,
        informs: bool = True,
        replies: bool = False,
    ) -> MessageRecorder:
        """Record messages from now on; see `MessageRecorder`.

        Parameters
        ----------
        whitelist, blacklist, regex_filter
            See `MessageRecorder`.
        informs, replies : bool
            Whether to record these.
        """
        kinds = set()
        if informs:
            kinds.add(Message.INFORM)
        if replies:
            kinds.add(Message.REPLY)
        recorder = MessageRecorder(kinds, set(whitelist), regex_filter, set(blacklist))
        self._message_recorders = [*self._message_recorders, recorder]
        return recorder

    # -- requests -----------------------------------------------------------------------

    def assert_request_succeeds(self, requestname: str, *params: Any, **kwargs: Any) -> list[str]:
        """Make a request and check that it succeeds.

        Parameters
        ----------
        requestname : str
        *params : object
            Arguments of the request.
        args_echo : bool
            Whether the arguments of the reply have to be those of the request.
        args_equal : list of str
            What the arguments of the reply have to be.
        args_in : list of lists of str
            Of which they have to be one.
        args_length : int
            How many there have to be.
        informs_count : int
            How many informs there have to be.
        informs_args_equal : list of lists of str
            What the arguments of these have to be.

        Returns
        -------
        list of str
            Arguments of the reply, after the ``ok``.
        """
        reply, informs = self.blocking_request(Message.request(requestname, *params))
        call = f"request {requestname!r} called with parameters {params!r}"
        self.test.assertTrue(
            reply.reply_ok(),
            f"Expected {call} to succeed, but it failed with error {error_of(reply)!r}.",
        )
        args = list_to_native_strings(reply.arguments[1:])
        equal = kwargs.get("args_equal")
        if kwargs.get("args_echo"):
            equal = list_to_native_strings(Message.request(requestname, *params).arguments)
        if equal is not None:
            equal = list_to_native_strings(equal)
            text = f"Expected reply to {call} to have arguments {equal}, but received {args}."
            self.test.assertEqual(args, equal, text)
        allowed = kwargs.get("args_in")
        if allowed is not None:
            allowed = [list_to_native_strings(item) for item in allowed]
            text = f"Expected reply to {call} to have arguments in {allowed}, but received {args}."
            self.test.assertTrue(args in allowed, text)
        length = kwargs.get("args_length")
        if length is not None:
            text = (
                f"Expected reply to {call} to have {length} arguments, but received "
                f"{len(args)}: {args}."
            )
            self.test.assertEqual(len(args), length, text)
        count = kwargs.get("informs_count")
        if count is not None:
            text = f"Expected {count} informs in reply to {call}, but received {len(informs)}."
            self.test.assertEqual(len(informs), count, text)
        wanted = kwargs.get("informs_args_equal")
        if wanted is not None:
            wanted = [list_to_native_strings(item) for item in wanted]
            got = [list_to_native_strings(inform.arguments) for inform in informs]
            text = f"Expected inform arguments {wanted} in reply to {call}, but received {got}."
            self.test.assertEqual(got, wanted, text)
        return args

    def assert_request_fails(
        self, requestname: str, *params: Any, **kwargs: Any
    ) -> tuple[Any, str | None]:
        """Make a request and check that it fails.

        Parameters
        ----------
        requestname : str
        *params : object
            Arguments of the request.
        status_equals : str
            ``"fail"`` or ``"invalid"``, if that matters.
        error_equals : str
            Text of the failure, if that matters.

        Returns
        -------
        tuple
            Status, as bytes unless `status_equals` was given, and text of the failure.
        """
        reply, _ = self.blocking_request(Message.request(requestname, *params))
        call = f"request {requestname!r} called with parameters {params!r}"
        self.test.assertFalse(reply.reply_ok(), f"Expected {call} to fail, but it was successful.")
        status: Any = reply.arguments[0]
        error = error_of(reply)
        wanted = kwargs.get("status_equals")
        if wanted is not None:
            status, wanted = ensure_native_str(status), ensure_native_str(wanted)
            text = f"Expected {call} to return status {wanted}, but the status was {status!r}."
            self.test.assertTrue(status == wanted, text)
        wanted_error = kwargs.get("error_equals")
        if wanted_error is not None:
            wanted_error = ensure_native_str(wanted_error)
            text = (
                f"Expected {call} to fail with error {wanted_error}, but the error was {error!r}."
            )
            self.test.assertTrue(error == wanted_error, text)
        return status, error

    def test_setter_request(
        self,
        requestname: str,
        sensorname: str,
        sensortype: Any = str,
        good: Iterable[Any] = (),
        bad: Iterable[Any] = (),
        places: int = 7,
        args_echo: bool = False,
    ) -> None:
        """Check a request that sets a sensor.

        Parameters
        ----------
        requestname, sensorname : str
        sensortype : type
            See `get_sensor`.
        good : iterable
            Values that are accepted, and that the sensor then has.
        bad : iterable
            Values that are refused.
        places : int
            Decimal places to which floats have to agree.
        args_echo : bool
            Whether the reply has to repeat the value.
        """
        for value in good:
            self.assert_request_succeeds(requestname, value, args_echo=args_echo)
            time.sleep(self._sensor_lag())
            got = self.get_sensor_value(sensorname, sensortype)
            text = (
                f"After request {requestname!r} was called with parameter {value!r}, value of "
                f"sensor {sensorname!r} is {got!r}. Expected {value!r}"
            )
            self.check_value(got, value, sensortype, places, text)
        for value in bad:
            self.assert_request_fails(requestname, value)

    def test_multi_setter_request(
        self, requestname: str, good: Iterable[Any] = (), bad: Iterable[Any] = ()
    ) -> None:
        """Check a request that sets several sensors.

        Parameters
        ----------
        requestname : str
        good : iterable of tuples
            ``(parameters, sensors)``: what is accepted, and what sensors then have, each given
            by `expected_sensor_value_tuple`.
        bad : iterable of tuples
            Parameters that are refused.
        """
        for params, sensor_tuples in good:
            self.assert_request_succeeds(requestname, *params)
            time.sleep(self._sensor_lag())
            for expected in sensor_tuples:
                name, value, sensortype, places = self.whole_tuple(expected)
                got = self.get_sensor_value(name, sensortype)
                text = (
                    f"After request {requestname!r} was called with parameters {params!r}, value "
                    f"of sensor {name!r} is {got!r}. Expected {value!r}"
                )
                self.check_value(got, value, sensortype, places, text)
        for params in bad:
            self.assert_request_fails(requestname, *params)

    # -- what the device has ------------------------------------------------------------

    def test_sensor_list(
        self, expected_sensors: Iterable[Sequence[Any]], ignore_descriptions: bool = False
    ) -> None:
        """Check what sensors the device has.

        Parameters
        ----------
        expected_sensors : iterable of tuples
            Name, description, units, type, parameters, as in ``?sensor-list``.
        ignore_descriptions : bool
            Whether descriptions may differ.
        """
        reply, informs = self.blocking_request(Message.request("sensor-list"))
        self.test.assertTrue(reply.reply_ok(), f"Could not list sensors: {error_of(reply)!r}")

        def whole(sensor: Sequence[Any]) -> tuple[str, ...]:
            words = list_to_native_strings(sensor)
            return tuple(words[:1] + words[2:]) if ignore_descriptions else tuple(words)

        self._compare(
            {whole(inform.arguments) for inform in informs},
            {whole(sensor) for sensor in expected_sensors},
            "Sensor list differs from expected list.",
            "sensors",
        )

    def test_help(
        self,
        expected_requests: Iterable[Any],
        full_descriptions: bool = False,
        exclude_defaults: bool = True,
    ) -> None:
        """Check what requests the device has.

        Parameters
        ----------
        expected_requests : iterable
            Names, or pairs of name and description.
        full_descriptions : bool
            Whether to compare descriptions as a whole and not their first lines only.
        exclude_defaults : bool
            Whether to leave out what every device has, unless it is expected by name.

        Raises
        ------
        ValueError
            For items that are neither.
        """
        expected = list(expected_requests)
        names_only = not expected or is_text(expected[0])
        wanted: set[tuple[str, ...]] = set()
        for item in expected:
            if names_only:
                wanted.add((ensure_native_str(item),))
                continue
            name, text = item
            wanted.add((ensure_native_str(name), _description(text, full_descriptions)))
        known = {item[0] for item in wanted}
        reply, informs = self.blocking_request(Message.request("help"))
        self.test.assertTrue(reply.reply_ok(), f"Could not list requests: {error_of(reply)!r}")
        got: set[tuple[str, ...]] = set()
        for inform in informs:
            name = ensure_native_str(inform.arguments[0])
            if exclude_defaults and name in _DEFAULT_REQUESTS and name not in known:
                continue
            if names_only:
                got.add((name,))
            else:
                got.add((name, _description(inform.arguments[1], full_descriptions)))
        self._compare(got, wanted, "Help list differs from expected list.", "requests")

    def _compare(
        self, got: set[tuple[str, ...]], wanted: set[tuple[str, ...]], text: str, what: str
    ) -> None:
        def listed(items: set[tuple[str, ...]]) -> str:
            return "\n".join(item[0] if len(item) == 1 else str(item) for item in sorted(items))

        self.test.assertEqual(
            got,
            wanted,
            f"{text}\nThese {what} are missing:\n{listed(wanted - got)}\n"
            f"Found these unexpected {what}:\n{listed(got - wanted)}",
        )


def _description(text: Any, full: bool) -> str:
    whole: str = ensure_native_str(text)
    return whole if full else whole.split("\n")[0]
