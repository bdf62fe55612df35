"""The standard requests, one room for each family."""

from katcp.server._requests._basics import BasicRequests
from katcp.server._requests._lifecycle import LifecycleRequests
from katcp.server._requests._logging import LoggingRequests
from katcp.server._requests._sampling import SamplingRequests
from katcp.server._requests._sensors import SensorRequests

__all__ = [
    "BasicRequests",
    "LifecycleRequests",
    "LoggingRequests",
    "SamplingRequests",
    "SensorRequests",
]
