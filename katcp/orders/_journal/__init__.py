"""A journal of orders, in a file."""

from katcp.orders._journal._form import JournalEntry
from katcp.orders._journal._journal import Journal

__all__ = [
    "Journal",
    "JournalEntry",
]
