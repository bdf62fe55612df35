"""Bytes to messages and back. No I/O, no loop, no thread."""

from katcp.protocol._constants import (
    DEFAULT_CLIENT_MAX_LINE,
    DEFAULT_KATCP_MAJOR,
    DEFAULT_MAX_ARGUMENTS,
    DEFAULT_MAX_LINE,
    DEFAULT_MAX_NAME,
    FLOAT_TS_KATCP_MAJOR,
    INTERFACE_CHANGED_KATCP_MAJOR,
    MAX_MID,
    MID_KATCP_MAJOR,
    MS_TO_SEC_FAC,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    VERSION_CONNECT_KATCP_MAJOR,
)
from katcp.protocol._escape import escape, unescape
from katcp.protocol._flags import ProtocolFlags
from katcp.protocol._framing import (
    INFORM,
    REPLY,
    REQUEST,
    StreamParser,
    WireMessage,
    to_message,
    wire_mid,
)
from katcp.protocol._message import (
    Message,
    encode_utf8_with_error_log,
    format_argument,
    format_arguments,
    format_mid,
    make_message,
)
from katcp.protocol._parser import MessageParser

__all__ = [
    "DEFAULT_CLIENT_MAX_LINE",
    "DEFAULT_KATCP_MAJOR",
    "DEFAULT_MAX_ARGUMENTS",
    "DEFAULT_MAX_LINE",
    "DEFAULT_MAX_NAME",
    "FLOAT_TS_KATCP_MAJOR",
    "INFORM",
    "INTERFACE_CHANGED_KATCP_MAJOR",
    "MAX_MID",
    "MID_KATCP_MAJOR",
    "MS_TO_SEC_FAC",
    "REPLY",
    "REQUEST",
    "SEC_TO_MS_FAC",
    "SEC_TS_KATCP_MAJOR",
    "VERSION_CONNECT_KATCP_MAJOR",
    "Message",
    "MessageParser",
    "ProtocolFlags",
    "StreamParser",
    "WireMessage",
    "encode_utf8_with_error_log",
    "escape",
    "format_argument",
    "format_arguments",
    "format_mid",
    "make_message",
    "to_message",
    "unescape",
    "wire_mid",
]
