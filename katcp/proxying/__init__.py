"""Proxies: one server that shows many devices, and is their only client.

Each sensor of a device is shown as ``DEVICE.SENSOR``, each request as ``?DEVICE-REQUEST``
(KATCP guidelines, "proxies"). A proxy is a device as any other, so another proxy can show it.
"""

from katcp.proxying._device import DeviceLink
from katcp.proxying._errors import ProxyError
from katcp.proxying._file import read_proxy_file
from katcp.proxying._filters import NEVER_FORWARDED, ONLY_IF_NAMED, NameFilter, RequestFilter
from katcp.proxying._server import ProxyServer
from katcp.proxying._settings import ProxiedDevice, named_devices

__all__ = [
    "NEVER_FORWARDED",
    "ONLY_IF_NAMED",
    "DeviceLink",
    "NameFilter",
    "ProxiedDevice",
    "ProxyError",
    "ProxyServer",
    "RequestFilter",
    "named_devices",
    "read_proxy_file",
]
