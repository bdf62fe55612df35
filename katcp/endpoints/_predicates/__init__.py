"""Predicates: conditions that open and close events."""

from katcp.endpoints._predicates._events import EventLog, PredicateEvent
from katcp.endpoints._predicates._host import PredicateHost
from katcp.endpoints._predicates._predicate import Predicate
from katcp.endpoints._predicates._silences import Silence

__all__ = [
    "EventLog",
    "Predicate",
    "PredicateEvent",
    "PredicateHost",
    "Silence",
]
