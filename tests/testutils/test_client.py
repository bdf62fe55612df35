from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import pytest

from katcp import Message, ProtocolFlags
from katcp.kattypes import request, return_reply
from katcp.testutils import (
    BlockingTestClient,
    DeviceTestServer,
    DeviceTestServerWithTimeoutHints,
    start_thread_with_cleanup,
)


class Case(unittest.TestCase):
    def runTest(self) -> None:  # noqa: N802
        pass


class OldServer(DeviceTestServer):
    PROTOCOL_INFO = ProtocolFlags(4, 0, "M")

    @request()
    @return_reply()
    def request_documented(self, req: Any) -> Any:
        """Say something.

        At length.
        """
        return ("fail", "Not \u03bb today.")


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    case.doCleanups()


def client_of(case: Case, kind: Any) -> BlockingTestClient:
    server = kind("127.0.0.1", 0)
    start_thread_with_cleanup(case, server, timeout=5, start_timeout=5)
    client = BlockingTestClient(case, *server.bind_address)
    start_thread_with_cleanup(case, client, timeout=5, start_timeout=5)
    assert client.wait_protocol(timeout=5)
    return client


def test_old_devices_have_times_in_milliseconds(case: Case) -> None:
    client = client_of(case, OldServer)
    assert client.get_sensor("an.int", int) == (3, "nominal", 12345.0)


def test_descriptions_as_bytes_or_text_whole_or_not(case: Case) -> None:
    client = client_of(case, OldServer)
    _, informs = client.blocking_request(Message.request("help"))
    whole = [tuple(inform.arguments) for inform in informs]
    client.test_help(whole, full_descriptions=True, exclude_defaults=False)
    text = [(name.decode(), text.decode()) for name, text in whole]
    client.test_help(text, full_descriptions=True, exclude_defaults=False)
    first = [(name, text.split("\n")[0]) for name, text in text]
    client.test_help(first, exclude_defaults=False)
    with pytest.raises(AssertionError, match="Found these unexpected requests"):
        client.test_help(first, full_descriptions=True, exclude_defaults=False)
    with pytest.raises(AssertionError, match="Found these unexpected requests"):
        client.test_help([])


def test_defaults_may_be_expected_by_name(case: Case) -> None:
    client = client_of(case, DeviceTestServerWithTimeoutHints)
    names = ["cancel-slow-command", "decorated", "decorated-return-exception", "new-command"]
    names += ["raise-exception", "raise-fail", "slow-command"]
    client.test_help(names)
    client.test_help([*names, "request-timeout-hint"])
    client.test_help(set(names))
    with pytest.raises(AssertionError, match="missing:\nbrew"):
        client.test_help([*names, "brew"])


def test_failures_are_text(case: Case) -> None:
    client = client_of(case, OldServer)
    text = "Not \u03bb today."
    assert client.assert_request_fails("documented") == (b"fail", text)
    assert client.assert_request_fails("documented", status_equals="fail")[0] == "fail"
    with pytest.raises(AssertionError, match=f"failed with error '{text}'"):
        client.assert_request_succeeds("documented")


def test_there_must_be_one_sensor(case: Case) -> None:
    client = client_of(case, OldServer)
    with pytest.raises(AssertionError, match="Expected one value"):
        client.get_sensor("/float/")


def test_the_lag_of_sensors_may_be_overridden(case: Case) -> None:
    class Patient(BlockingTestClient):
        asked = 0

        def _sensor_lag(self) -> float:
            self.asked += 1
            return 0.001

    class Settable(DeviceTestServer):
        def request_set(self, req: Any, value: int) -> int:
            """Set it."""
            self.get_sensor("an.int").set_value(value)
            return value

    server = Settable("127.0.0.1", 0)
    start_thread_with_cleanup(case, server, timeout=5, start_timeout=5)
    client = Patient(case, *server.bind_address)
    start_thread_with_cleanup(case, client, timeout=5, start_timeout=5)
    assert client.wait_protocol(timeout=5)
    client.test_setter_request("set", "an.int", int, good=(1, 2), bad=("x",), args_echo=True)
    assert client.asked == 2


def test_sending_raw_needs_a_connection(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    client = client_of(case, DeviceTestServer)
    client.disconnect()
    recorder = client.message_recorder(informs=False, replies=True)
    client.ioloop.add_callback(lambda: None)
    client.raw_send(b"")
    assert client.wait_protocol(timeout=5)
    assert recorder() == []
