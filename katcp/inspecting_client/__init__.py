"""The inspecting client: it learns what a device offers, and keeps knowing it."""

import random as random  # suites of tests patch it by this path

from katcp.aio import (
    AttrDict,
    ExponentialRandomBackoff,
    future_timeout_manager,
    steal_docstring_from,
    until_any,
)
from katcp.compat import ensure_native_str
from katcp.errors import SyncError
from katcp.inspecting_client._client import InspectingClientAsync
from katcp.inspecting_client._explorer import RequestType
from katcp.inspecting_client._feeds import ChangeFeed, ReadingFeed
from katcp.inspecting_client._hooks import _InformHookDeviceClient as _InformHookDeviceClient
from katcp.inspecting_client._keeper import ic_logger
from katcp.inspecting_client._setting import setting_requests
from katcp.inspecting_client._states import IllegalStep, InspectingClientStateType
from katcp.inspecting_client._value_watcher import RelayedSensor, SensorWatcher, check_strategy

__all__ = [
    "AttrDict",
    "ChangeFeed",
    "ExponentialRandomBackoff",
    "IllegalStep",
    "InspectingClientAsync",
    "InspectingClientStateType",
    "ReadingFeed",
    "RelayedSensor",
    "RequestType",
    "SensorWatcher",
    "SyncError",
    "check_strategy",
    "ensure_native_str",
    "future_timeout_manager",
    "ic_logger",
    "setting_requests",
    "steal_docstring_from",
    "until_any",
]
