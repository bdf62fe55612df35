"""Clients: requests to a device and their replies, over a connection that is made again."""

from katcp.aio import AsyncEvent, LatencyTimer, until_later
from katcp.client._asynchronous import AsyncClient
from katcp.client._callback import BlockingClient, CallbackClient
from katcp.client._check import request_check
from katcp.client._device import DeviceClient
from katcp.client._life import log
from katcp.client._runs import argument_in, arguments_in, unescaped
from katcp.client._states import address_to_string
from katcp.client._threads import make_threadsafe, make_threadsafe_blocking
from katcp.compat import ensure_native_str
from katcp.errors import KatcpClientDisconnected, KatcpClientError, KatcpVersionError
from katcp.handlers import DeviceMetaclass
from katcp.ioloop_manager import IOLoopManager
from katcp.protocol import (
    FLOAT_TS_KATCP_MAJOR,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    Message,
    MessageParser,
    ProtocolFlags,
)

__all__ = [
    "FLOAT_TS_KATCP_MAJOR",
    "SEC_TO_MS_FAC",
    "SEC_TS_KATCP_MAJOR",
    "AsyncClient",
    "AsyncEvent",
    "BlockingClient",
    "CallbackClient",
    "DeviceClient",
    "DeviceMetaclass",
    "IOLoopManager",
    "KatcpClientDisconnected",
    "KatcpClientError",
    "KatcpVersionError",
    "LatencyTimer",
    "Message",
    "MessageParser",
    "ProtocolFlags",
    "address_to_string",
    "argument_in",
    "arguments_in",
    "ensure_native_str",
    "log",
    "make_threadsafe",
    "make_threadsafe_blocking",
    "request_check",
    "unescaped",
    "until_later",
]
