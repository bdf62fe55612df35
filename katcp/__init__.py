"""KATCP: device servers, clients, and resources, on Tornado's loop."""

from katcp._version import __version__
from katcp.client import AsyncClient, BlockingClient, CallbackClient, DeviceClient
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
from katcp.resource_client import KATCPClientResource, KATCPClientResourceContainer
from katcp.sensortree import AggregateSensorTree, BooleanSensorTree, GenericSensorTree
from katcp.server import AsyncDeviceServer, DeviceLogger, DeviceServer, DeviceServerBase

# Programs reach the submodules as attributes, and by an asterisk, too.
from katcp import (  # isort: skip
    client,
    compat,
    core,
    inspecting_client,
    ioloop_manager,
    kattypes,
    object_proxies,
    resource,
    resource_client,
    sampling,
    sensortree,
    server,
)

__all__ = [
    "AggregateSensorTree",
    "AsyncClient",
    "AsyncDeviceServer",
    "AsyncReply",
    "AttrDict",
    "BlockingClient",
    "BooleanSensorTree",
    "CallbackClient",
    "DeviceClient",
    "DeviceLogger",
    "DeviceMetaclass",
    "DeviceServer",
    "DeviceServerBase",
    "FailReply",
    "GenericSensorTree",
    "InspectingClientAsync",
    "KATCPClientResource",
    "KATCPClientResourceContainer",
    "KatcpClientError",
    "KatcpDeviceError",
    "KatcpSyntaxError",
    "KatcpTypeError",
    "Message",
    "MessageParser",
    "ProtocolFlags",
    "Sensor",
    "__version__",
    "client",
    "compat",
    "core",
    "inspecting_client",
    "ioloop_manager",
    "kattypes",
    "object_proxies",
    "resource",
    "resource_client",
    "sampling",
    "sensortree",
    "server",
]
