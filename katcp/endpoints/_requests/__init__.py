"""The requests of endpoints, of their locks and of their logging."""

from katcp.endpoints._requests._endpoints import EndpointRequests
from katcp.endpoints._requests._locks import LockRequests
from katcp.endpoints._requests._logging import AlertRequests, LoggingRequests

__all__ = [
    "AlertRequests",
    "EndpointRequests",
    "LockRequests",
    "LoggingRequests",
]
