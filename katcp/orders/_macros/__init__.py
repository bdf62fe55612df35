"""Macros: sections that are carried out at given times."""

from katcp.orders._macros._host import MacroHost
from katcp.orders._macros._macro import Late, Macro, MacroState
from katcp.orders._macros._macros import Macros
from katcp.orders._macros._occurrences import Calendar, Moments, Occurrences, occurrences

__all__ = [
    "Calendar",
    "Late",
    "Macro",
    "MacroHost",
    "MacroState",
    "Macros",
    "Moments",
    "Occurrences",
    "occurrences",
]
