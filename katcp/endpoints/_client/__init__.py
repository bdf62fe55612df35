"""The other end: clients of endpoints and of their alerts."""

from katcp.endpoints._client._alerts import AlertClient, AlertFeed
from katcp.endpoints._client._asking import Answer
from katcp.endpoints._client._client import EndpointClient, EndpointListing
from katcp.endpoints._client._locking import LockState
from katcp.endpoints._client._several import EndpointClients, FanOut

__all__ = [
    "AlertClient",
    "AlertFeed",
    "Answer",
    "EndpointClient",
    "EndpointClients",
    "EndpointListing",
    "FanOut",
    "LockState",
]
