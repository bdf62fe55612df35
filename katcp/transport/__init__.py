"""Lines over TCP, encrypted or not, on the asyncio loop below Tornado's."""

from katcp.transport._bind import bind_sockets
from katcp.transport._handshakes import Handshakes
from katcp.transport._pump import Chunk, Pump
from katcp.transport._tcp import TOO_SLOW, LineConnection, format_address, keep_alive
from katcp.transport._tls import TlsLayer
from katcp.transport._tls_dial import connect_tls
from katcp.transport._tls_reasons import TlsError, check_context

__all__ = [
    "TOO_SLOW",
    "Chunk",
    "Handshakes",
    "LineConnection",
    "Pump",
    "TlsError",
    "TlsLayer",
    "bind_sockets",
    "check_context",
    "connect_tls",
    "format_address",
    "keep_alive",
]
