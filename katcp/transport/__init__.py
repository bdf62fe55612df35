"""Lines over TCP, on the asyncio loop below Tornado's."""

from katcp.transport._bind import bind_sockets
from katcp.transport._pump import Chunk, Pump
from katcp.transport._tcp import LineConnection, format_address, keep_alive

__all__ = ["Chunk", "LineConnection", "Pump", "bind_sockets", "format_address", "keep_alive"]
