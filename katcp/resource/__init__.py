"""Resources: what a device looks like to those who use it, whatever connects them to it."""

from katcp.aio import hashable_identity
from katcp.compat import ensure_native_str
from katcp.protocol import Message
from katcp.resource._errors import (
    KATCPResourceError,
    KATCPResourceInactive,
    KATCPSensorError,
    KATCPUnknownSensorError,
)
from katcp.resource._managers import KATCPSensorsManager
from katcp.resource._names import escape_name
from katcp.resource._readings import KATCPSensorReading, SensorResultTuple
from katcp.resource._reply import KATCPReply
from katcp.resource._reply import _KATCPReplyTuple as _KATCPReplyTuple
from katcp.resource._request import KATCPDummyRequest, KATCPRequest
from katcp.resource._resource import KATCPResource
from katcp.resource._sensor import KATCPSensor, logger
from katcp.resource._strategies import normalize_strategy_parameters
from katcp.sensors import Sensor

__all__ = [
    "KATCPDummyRequest",
    "KATCPReply",
    "KATCPRequest",
    "KATCPResource",
    "KATCPResourceError",
    "KATCPResourceInactive",
    "KATCPSensor",
    "KATCPSensorError",
    "KATCPSensorReading",
    "KATCPSensorsManager",
    "KATCPUnknownSensorError",
    "Message",
    "Sensor",
    "SensorResultTuple",
    "ensure_native_str",
    "escape_name",
    "hashable_identity",
    "logger",
    "normalize_strategy_parameters",
]
