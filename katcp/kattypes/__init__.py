"""Types of arguments, and the decorators and annotations that handlers use them in."""

from katcp.compat import ensure_native_str, is_bytes, is_text
from katcp.errors import FailReply
from katcp.kattypes._address import Address, IPAddress
from katcp.kattypes._annotations import decode, encode, type_for
from katcp.kattypes._base import KatcpType, logger
from katcp.kattypes._choices import Discrete, DiscreteEnum, DiscreteMulti, enum_word
from katcp.kattypes._decorators import (
    inform,
    request,
    return_reply,
    send_reply,
    unpack_message,
)
from katcp.kattypes._marks import (
    concurrent_reply,
    handler_is_available,
    has_katcp_protocol_flags,
    minimum_katcp_version,
    request_timeout_hint,
)
from katcp.kattypes._names import convert_method_name
from katcp.kattypes._numbers import (
    Bool,
    Float,
    Int,
    Lru,
    decode_float,
    decode_integer,
)
from katcp.kattypes._packing import Parameter, pack_types, unpack_types
from katcp.kattypes._replies import (
    async_make_reply,
    is_deferred,
    make_reply,
    map_deferred,
)
from katcp.kattypes._signature import TypedSignature
from katcp.kattypes._text import Bytes, Regex, Str, Struct
from katcp.kattypes._times import StrictTimestamp, Timestamp, TimestampOrNow
from katcp.kattypes._usage import decorated_usage
from katcp.protocol import (
    DEFAULT_KATCP_MAJOR,
    MS_TO_SEC_FAC,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    Message,
)

__all__ = [
    "DEFAULT_KATCP_MAJOR",
    "MS_TO_SEC_FAC",
    "SEC_TO_MS_FAC",
    "SEC_TS_KATCP_MAJOR",
    "Address",
    "Bool",
    "Bytes",
    "Discrete",
    "DiscreteEnum",
    "DiscreteMulti",
    "FailReply",
    "Float",
    "IPAddress",
    "Int",
    "KatcpType",
    "Lru",
    "Message",
    "Parameter",
    "Regex",
    "Str",
    "StrictTimestamp",
    "Struct",
    "Timestamp",
    "TimestampOrNow",
    "TypedSignature",
    "async_make_reply",
    "concurrent_reply",
    "convert_method_name",
    "decode",
    "decode_float",
    "decode_integer",
    "decorated_usage",
    "encode",
    "ensure_native_str",
    "enum_word",
    "handler_is_available",
    "has_katcp_protocol_flags",
    "inform",
    "is_bytes",
    "is_deferred",
    "is_text",
    "logger",
    "make_reply",
    "map_deferred",
    "minimum_katcp_version",
    "pack_types",
    "request",
    "request_timeout_hint",
    "return_reply",
    "send_reply",
    "type_for",
    "unpack_message",
    "unpack_types",
]
