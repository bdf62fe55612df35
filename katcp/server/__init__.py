"""Device servers."""

from katcp.errors import AsyncReply, FailReply, InvalidReply
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server._base import DeviceServerBase
from katcp.server._connection import ClientConnection, ThreadsafeClientConnection
from katcp.server._device import AsyncDeviceServer, DeviceServer
from katcp.server._dispatch import blocking
from katcp.server._filters import construct_name_filter
from katcp.server._listener import KATCPServer
from katcp.server._log import DeviceLogger
from katcp.server._request import ClientRequestConnection
from katcp.server._running import log

#: Requests that every device has.
BASE_REQUESTS = frozenset(DeviceServer._request_handlers)  # noqa: SLF001  # of this package

__all__ = [
    "BASE_REQUESTS",
    "AsyncDeviceServer",
    "AsyncReply",
    "ClientConnection",
    "ClientRequestConnection",
    "DeviceLogger",
    "DeviceServer",
    "DeviceServerBase",
    "FailReply",
    "InvalidReply",
    "KATCPServer",
    "Message",
    "ProtocolFlags",
    "Sensor",
    "ThreadsafeClientConnection",
    "blocking",
    "construct_name_filter",
    "log",
]
