"""The names of the protocol's core under the path that existing code imports them from."""

from katcp.aio import *  # noqa: F403
from katcp.compat import byte_chars, ensure_native_str, is_bytes, is_text
from katcp.errors import *  # noqa: F403
from katcp.handlers import DeviceMetaclass, DeviceServerMetaclass, convert_method_name
from katcp.protocol import *  # noqa: F403
from katcp.sensors import Reading, Sensor
