"""Locks: who may change an endpoint at present."""

from katcp.endpoints._locks._book import PATIENCE, Locks
from katcp.endpoints._locks._lockout import LONGEST_LEASE, Held, Lockout, lock_family, unlock_family

__all__ = [
    "LONGEST_LEASE",
    "PATIENCE",
    "Held",
    "Lockout",
    "Locks",
    "lock_family",
    "unlock_family",
]
