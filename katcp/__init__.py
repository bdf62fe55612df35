"""KATCP device servers and inspecting clients, on Tornado's loop."""

from katcp._version import __version__
from katcp.client import AsyncClient, DeviceClient
from katcp.core import (
    AsyncReply,
    AttrDict,
    DeviceMetaclass,
    FailReply,
    KatcpClientError,
    KatcpDeviceError,
    KatcpSyntaxError,
    KatcpTypeError,
    Message,
    MessageParser,
    ProtocolFlags,
    Sensor,
)
from katcp.inspecting_client import InspectingClientAsync
from katcp.server import AsyncDeviceServer, DeviceLogger, DeviceServer, DeviceServerBase

__all__ = [
    "AsyncClient",
    "AsyncDeviceServer",
    "AsyncReply",
    "AttrDict",
    "DeviceClient",
    "DeviceLogger",
    "DeviceMetaclass",
    "DeviceServer",
    "DeviceServerBase",
    "FailReply",
    "InspectingClientAsync",
    "KatcpClientError",
    "KatcpDeviceError",
    "KatcpSyntaxError",
    "KatcpTypeError",
    "Message",
    "MessageParser",
    "ProtocolFlags",
    "Sensor",
    "__version__",
]
