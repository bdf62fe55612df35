"""Clients: requests to a device and their replies, over a connection that is made again."""

from katcp.aio import AsyncEvent, LatencyTimer, until_later
from katcp.client._asynchronous import AsyncClient
from katcp.client._device import DeviceClient
from katcp.client._life import address_to_string, log
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
    "log",
    "until_later",
]
