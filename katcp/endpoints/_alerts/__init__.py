"""Alerts: what is broadcast, and who hears it."""

from katcp.endpoints._alerts._hub import Alert, AlertHub
from katcp.endpoints._alerts._topics import checked_key, checked_pattern, matches

__all__ = [
    "Alert",
    "AlertHub",
    "checked_key",
    "checked_pattern",
    "matches",
]
