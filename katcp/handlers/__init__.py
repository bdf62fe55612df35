"""Tables of message handlers, made from the methods of a class."""

from katcp.handlers._table import DeviceMetaclass, DeviceServerMetaclass, Handler
from katcp.kattypes import convert_method_name

__all__ = ["DeviceMetaclass", "DeviceServerMetaclass", "Handler", "convert_method_name"]
