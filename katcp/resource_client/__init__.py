"""Devices as objects: their requests to call, their sensors to read."""

from katcp.aio import (
    AsyncCallbackEvent,
    AsyncEvent,
    AsyncState,
    AttrDict,
    DefaultAttrDict,
    LatencyTimer,
    log_future_exceptions,
    steal_docstring_from,
    until_any,
    until_some,
)
from katcp.ioloop_manager import IOLoopThreadWrapper, ThreadSafeMethodAttrWrapper
from katcp.protocol import Message
from katcp.resource import KATCPReply, KATCPSensorError
from katcp.resource_client._container import KATCPClientResourceContainer
from katcp.resource_client._filters import list_sensors
from katcp.resource_client._group import ClientGroup, GroupRequest, GroupResults
from katcp.resource_client._monitor import monitor_resource_sync_state
from katcp.resource_client._request import (
    KATCPClientResourceRequest,
    ReplyWrappedInspectingClientAsync,
    log,
    transform_future,
)
from katcp.resource_client._resource import KATCPClientResource
from katcp.resource_client._sensors import KATCPClientResourceSensorsManager
from katcp.resource_client._threads import (
    AttrMappingProxy,
    MappingProxy,
    ThreadSafeKATCPClientGroupWrapper,
    ThreadSafeKATCPClientResourceRequestWrapper,
    ThreadSafeKATCPClientResourceWrapper,
    ThreadSafeKATCPSensorWrapper,
)

__all__ = [
    "AsyncCallbackEvent",
    "AsyncEvent",
    "AsyncState",
    "AttrDict",
    "AttrMappingProxy",
    "ClientGroup",
    "DefaultAttrDict",
    "GroupRequest",
    "GroupResults",
    "IOLoopThreadWrapper",
    "KATCPClientResource",
    "KATCPClientResourceContainer",
    "KATCPClientResourceRequest",
    "KATCPClientResourceSensorsManager",
    "KATCPReply",
    "KATCPSensorError",
    "LatencyTimer",
    "MappingProxy",
    "Message",
    "ReplyWrappedInspectingClientAsync",
    "ThreadSafeKATCPClientGroupWrapper",
    "ThreadSafeKATCPClientResourceRequestWrapper",
    "ThreadSafeKATCPClientResourceWrapper",
    "ThreadSafeKATCPSensorWrapper",
    "ThreadSafeMethodAttrWrapper",
    "list_sensors",
    "log",
    "log_future_exceptions",
    "monitor_resource_sync_state",
    "steal_docstring_from",
    "transform_future",
    "until_any",
    "until_some",
]
