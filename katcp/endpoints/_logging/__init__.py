"""When an endpoint is read by itself, and when that is broadcast."""

from katcp.endpoints._logging._engine import Logging, state_word
from katcp.endpoints._logging._logged import (
    LoggedEndpoint,
    LoggingState,
    logging_states,
    set_logging,
)
from katcp.endpoints._logging._rule import LoggingRule
from katcp.endpoints._logging._schedule import Schedule

__all__ = [
    "LoggedEndpoint",
    "Logging",
    "LoggingRule",
    "LoggingState",
    "Schedule",
    "logging_states",
    "set_logging",
    "state_word",
]
