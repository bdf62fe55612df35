"""The core's names, under the path that existing code imports them from.

Nothing inside the package imports this module.
"""

import logging
import time as time  # suites of tests patch it by this path

from katcp.aio import (
    AsyncCallbackEvent,
    AsyncEvent,
    AsyncState,
    AttrDict,
    DefaultAttrDict,
    LatencyTimer,
    future_timeout_manager,
    hashable_identity,
    log_coroutine_exceptions,
    log_future_exceptions,
    steal_docstring_from,
    until_any,
    until_later,
    until_some,
)
from katcp.compat import byte_chars, ensure_native_str, is_bytes, is_text
from katcp.errors import (
    AsyncReply,
    FailReply,
    KatcpClientDisconnected,
    KatcpClientError,
    KatcpDeviceError,
    KatcpSyntaxError,
    KatcpTypeError,
    KatcpVersionError,
)
from katcp.handlers import DeviceMetaclass, DeviceServerMetaclass, convert_method_name
from katcp.kattypes import Address, Bool, Discrete, Float, Int, Lru, Str, Timestamp
from katcp.protocol import (
    DEFAULT_KATCP_MAJOR,
    FLOAT_TS_KATCP_MAJOR,
    INTERFACE_CHANGED_KATCP_MAJOR,
    MID_KATCP_MAJOR,
    MS_TO_SEC_FAC,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    VERSION_CONNECT_KATCP_MAJOR,
    Message,
    MessageParser,
    ProtocolFlags,
    encode_utf8_with_error_log,
)
from katcp.sensors import Reading, Sensor

#: The logger of messages, flags and sensors.
logger = logging.getLogger("katcp.core")

__all__ = [
    "DEFAULT_KATCP_MAJOR",
    "FLOAT_TS_KATCP_MAJOR",
    "INTERFACE_CHANGED_KATCP_MAJOR",
    "MID_KATCP_MAJOR",
    "MS_TO_SEC_FAC",
    "SEC_TO_MS_FAC",
    "SEC_TS_KATCP_MAJOR",
    "VERSION_CONNECT_KATCP_MAJOR",
    "Address",
    "AsyncCallbackEvent",
    "AsyncEvent",
    "AsyncReply",
    "AsyncState",
    "AttrDict",
    "Bool",
    "DefaultAttrDict",
    "DeviceMetaclass",
    "DeviceServerMetaclass",
    "Discrete",
    "FailReply",
    "Float",
    "Int",
    "KatcpClientDisconnected",
    "KatcpClientError",
    "KatcpDeviceError",
    "KatcpSyntaxError",
    "KatcpTypeError",
    "KatcpVersionError",
    "LatencyTimer",
    "Lru",
    "Message",
    "MessageParser",
    "ProtocolFlags",
    "Reading",
    "Sensor",
    "Str",
    "Timestamp",
    "byte_chars",
    "convert_method_name",
    "encode_utf8_with_error_log",
    "ensure_native_str",
    "future_timeout_manager",
    "hashable_identity",
    "is_bytes",
    "is_text",
    "log_coroutine_exceptions",
    "log_future_exceptions",
    "logger",
    "steal_docstring_from",
    "until_any",
    "until_later",
    "until_some",
]
