"""Tables of message handlers, made from the methods of a class."""

from katcp.handlers._names import convert_method_name
from katcp.handlers._table import DeviceMetaclass, DeviceServerMetaclass, Handler

__all__ = ["DeviceMetaclass", "DeviceServerMetaclass", "Handler", "convert_method_name"]
