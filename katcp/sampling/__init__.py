"""Sampling strategies: those of a server's clients, in its loop, and as objects for users."""

from katcp.compat import is_bytes, is_text
from katcp.protocol import Message
from katcp.sampling._audience import Subscriber
from katcp.sampling._kinds import (
    SampleAuto,
    SampleDifferential,
    SampleDifferentialRate,
    SampleEvent,
    SampleEventRate,
    SampleNone,
    SamplePeriod,
)
from katcp.sampling._strategy import (
    AGE_OF_UNIVERSE,
    SampleStrategy,
    format_inform_v4,
    format_inform_v5,
    log,
    update_in_ioloop,
)
from katcp.sampling._table import SamplingTable
from katcp.sensors import Sensor

__all__ = [
    "AGE_OF_UNIVERSE",
    "Message",
    "SampleAuto",
    "SampleDifferential",
    "SampleDifferentialRate",
    "SampleEvent",
    "SampleEventRate",
    "SampleNone",
    "SamplePeriod",
    "SampleStrategy",
    "SamplingTable",
    "Sensor",
    "Subscriber",
    "format_inform_v4",
    "format_inform_v5",
    "is_bytes",
    "is_text",
    "log",
    "update_in_ioloop",
]
