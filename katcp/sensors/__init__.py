"""Sensors, their readings, and when these are reported.

No loop, no thread, and no clock but the wall clock, for timestamps.
"""

from katcp.sensors._aggregate import AggregateSensor
from katcp.sensors._reading import (
    STATUS_NAMES,
    STATUS_NAMES_RAW,
    STATUSES,
    STATUSES_RAW,
    VALID_STATUSES,
    Reading,
)
from katcp.sensors._sensor import Observer, Sensor
from katcp.sensors._set import SensorSet
from katcp.sensors._strategies import (
    NEVER,
    NONE,
    PERIOD_FLOOR,
    Plan,
    Sampler,
    difference_exceeds,
    event_differs,
    next_tick,
    parse_strategy,
)
from katcp.sensors._types import SENSOR_TYPES, TYPE_NUMBERS, parse_params, parse_type
from katcp.sensors._wire import Update, wire_readings, wire_updates

__all__ = [
    "NEVER",
    "NONE",
    "PERIOD_FLOOR",
    "SENSOR_TYPES",
    "STATUSES",
    "STATUSES_RAW",
    "STATUS_NAMES",
    "STATUS_NAMES_RAW",
    "TYPE_NUMBERS",
    "VALID_STATUSES",
    "AggregateSensor",
    "Observer",
    "Plan",
    "Reading",
    "Sampler",
    "Sensor",
    "SensorSet",
    "Update",
    "difference_exceeds",
    "event_differs",
    "next_tick",
    "parse_params",
    "parse_strategy",
    "parse_type",
    "wire_readings",
    "wire_updates",
]
