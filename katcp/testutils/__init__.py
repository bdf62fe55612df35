"""For the test suites of devices and of programs that use them: servers, clients, waits, clocks.

Written for `unittest`, and as useful under pytest. What is started with
`start_thread_with_cleanup` leaves no thread behind.
"""

from katcp.aio import AsyncEvent, steal_docstring_from
from katcp.compat import ensure_native_str, is_bytes, is_text
from katcp.errors import AsyncReply, FailReply
from katcp.kattypes import (
    Bool,
    Discrete,
    Float,
    Int,
    Str,
    concurrent_reply,
    request,
    request_timeout_hint,
    return_reply,
)
from katcp.object_proxies import ObjectWrapper
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import ClientConnection, DeviceServer
from katcp.testutils._client import BlockingTestClient
from katcp.testutils._log import TestLogHandler, logger
from katcp.testutils._messages import (
    TestUtilMixin,
    add_mid_to_msg_str,
    list_to_native_strings,
)
from katcp.testutils._mocks import (
    AsyncWaitingMock,
    AtomicIaddCallback,
    WaitingMock,
    counting_callback,
)
from katcp.testutils._recorder import MessageRecorder
from katcp.testutils._requests import ClientConnectionTest, handle_mock_req, mock_req
from katcp.testutils._sensors import DeviceTestSensor, SensorComparisonMixin
from katcp.testutils._server import (
    AsyncDeviceTestServer,
    DeviceTestServer,
    DeviceTestServerWithTimeoutHints,
)
from katcp.testutils._threads import call_in_ioloop, start_thread_with_cleanup
from katcp.testutils._timewarp import TimewarpAsyncTestCase, TimewarpAsyncTestCaseTimeAdvancer
from katcp.testutils._waiters import (
    SensorTransitionStatusWaiter,
    SensorTransitionWaiter,
    suppress_queue_repeats,
    wait_sensor,
    wait_sensor_async,
)

__all__ = [
    "AsyncDeviceTestServer",
    "AsyncEvent",
    "AsyncReply",
    "AsyncWaitingMock",
    "AtomicIaddCallback",
    "BlockingTestClient",
    "Bool",
    "ClientConnection",
    "ClientConnectionTest",
    "DeviceServer",
    "DeviceTestSensor",
    "DeviceTestServer",
    "DeviceTestServerWithTimeoutHints",
    "Discrete",
    "FailReply",
    "Float",
    "Int",
    "Message",
    "MessageRecorder",
    "ObjectWrapper",
    "ProtocolFlags",
    "Sensor",
    "SensorComparisonMixin",
    "SensorTransitionStatusWaiter",
    "SensorTransitionWaiter",
    "Str",
    "TestLogHandler",
    "TestUtilMixin",
    "TimewarpAsyncTestCase",
    "TimewarpAsyncTestCaseTimeAdvancer",
    "WaitingMock",
    "add_mid_to_msg_str",
    "call_in_ioloop",
    "concurrent_reply",
    "counting_callback",
    "ensure_native_str",
    "handle_mock_req",
    "is_bytes",
    "is_text",
    "list_to_native_strings",
    "logger",
    "mock_req",
    "request",
    "request_timeout_hint",
    "return_reply",
    "start_thread_with_cleanup",
    "steal_docstring_from",
    "suppress_queue_repeats",
    "wait_sensor",
    "wait_sensor_async",
]
