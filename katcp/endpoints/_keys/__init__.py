"""Stores of keys, and how their values outlive the process."""

from katcp.endpoints._keys._persistence import (
    Persistence,
    check_durable,
    take_durable,
    until_durable,
)
from katcp.endpoints._keys._store import KeyValueStore, StoreKey, kv_store, kv_store_key

__all__ = [
    "KeyValueStore",
    "Persistence",
    "StoreKey",
    "check_durable",
    "kv_store",
    "kv_store_key",
    "take_durable",
    "until_durable",
]
