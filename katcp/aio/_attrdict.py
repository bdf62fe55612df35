"""Dictionaries whose keys are attributes too."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def _no_attribute(owner: object, name: str) -> AttributeError:
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}")


class AttrDict(dict[str, Any]):
    """A `dict` whose keys can be read, set and deleted as attributes.

    >>> AttrDict(added={"a"}).added
    {'a'}
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise _no_attribute(self, name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise _no_attribute(self, name) from None


class DefaultAttrDict(defaultdict[str, Any]):
    """A `collections.defaultdict` whose keys are attributes; reading makes missing ones."""

    def __getattr__(self, name: str) -> Any:
        # Names with underscores belong to Python (copying, pickling): never make those.
        if name.startswith("__"):
            raise _no_attribute(self, name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "default_factory":
            super().__setattr__(name, value)
        else:
            self[name] = value
