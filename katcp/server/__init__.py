"""Device servers."""

import time as time  # suites of tests patch it by this path

from katcp.compat import ensure_native_str
from katcp.errors import AsyncReply, FailReply, InvalidReply
from katcp.handlers import DeviceServerMetaclass
from katcp.ioloop_manager import IOLoopManager, with_relative_timeout
from katcp.kattypes import (
    Int,
    Str,
    has_katcp_protocol_flags,
    minimum_katcp_version,
    request,
    return_reply,
)
from katcp.protocol import (
    DEFAULT_KATCP_MAJOR,
    MS_TO_SEC_FAC,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    VERSION_CONNECT_KATCP_MAJOR,
    Message,
    MessageParser,
    ProtocolFlags,
)
from katcp.sampling import SampleNone, SampleStrategy, format_inform_v4, format_inform_v5
from katcp.sensors import Sensor
from katcp.server._access import AccessPolicy
from katcp.server._base import DeviceServerBase
from katcp.server._connection import ClientConnection, ThreadsafeClientConnection
from katcp.server._device import AsyncDeviceServer, DeviceServer
from katcp.server._dispatch import blocking
from katcp.server._filters import construct_name_filter
from katcp.server._handler_thread import MessageHandlerThread, return_future
from katcp.server._listener import KATCPServer
from katcp.server._log import DeviceLogger
from katcp.server._reception import ClientFacts, Reception
from katcp.server._request import ClientRequestConnection
from katcp.server._running import log
from katcp.server._sensor_set import DeviceSensors
from katcp.server._services import ServiceTask
from katcp.server._statistics import DESCRIPTIONS as STATISTICS_MEANINGS
from katcp.server._statistics import GAUGES as STATISTICS_GAUGES
from katcp.server._statistics import Statistics

#: Requests that every device has, or that tests of devices take for such.
BASE_REQUESTS = frozenset(
    DeviceServer._request_handlers  # noqa: SLF001  # of this package
) | {"new-command", "raise-exception", "raise-fail"}

__all__ = [
    "BASE_REQUESTS",
    "DEFAULT_KATCP_MAJOR",
    "MS_TO_SEC_FAC",
    "SEC_TO_MS_FAC",
    "SEC_TS_KATCP_MAJOR",
    "STATISTICS_GAUGES",
    "STATISTICS_MEANINGS",
    "VERSION_CONNECT_KATCP_MAJOR",
    "AccessPolicy",
    "AsyncDeviceServer",
    "AsyncReply",
    "ClientConnection",
    "ClientFacts",
    "ClientRequestConnection",
    "DeviceLogger",
    "DeviceSensors",
    "DeviceServer",
    "DeviceServerBase",
    "DeviceServerMetaclass",
    "FailReply",
    "IOLoopManager",
    "Int",
    "InvalidReply",
    "KATCPServer",
    "Message",
    "MessageHandlerThread",
    "MessageParser",
    "ProtocolFlags",
    "Reception",
    "SampleNone",
    "SampleStrategy",
    "Sensor",
    "ServiceTask",
    "Statistics",
    "Str",
    "ThreadsafeClientConnection",
    "blocking",
    "construct_name_filter",
    "ensure_native_str",
    "format_inform_v4",
    "format_inform_v5",
    "has_katcp_protocol_flags",
    "log",
    "minimum_katcp_version",
    "request",
    "return_future",
    "return_reply",
    "with_relative_timeout",
]
