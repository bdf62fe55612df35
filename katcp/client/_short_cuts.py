"""Short cuts past methods: taken when these are our own, and not when somebody else's.

A request need not go through `send_request` and `send_message`, nor a reply through
`handle_message` and `handle_reply`, as long as they do what they do here. Subclasses override
them, though, and tests put others in their place, also while connected.
"""

from __future__ import annotations

from typing import Any

from katcp.client._device import DeviceClient

#: Methods that have a short cut.
_WATCHED = frozenset(
    [
        "_next_id",
        "handle_inform",
        "handle_message",
        "handle_reply",
        "send_message",
        "send_request",
    ]
)


class ShortCutClient(DeviceClient):
    """A client that knows which of its methods are those of this package."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _WATCHED and self.__dict__.get("_link") is not None:
            self.look_for_short_cuts()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in _WATCHED and self.__dict__.get("_link") is not None:
            self.look_for_short_cuts()

    def look_for_short_cuts(self) -> None:
        """See which methods are our own (for subclasses); on connecting, and when one is put."""

    def is_plain(self, cls: type, *names: str) -> bool:
        """Tell whether methods are those of `cls`: neither overridden nor replaced."""
        mine, own, wrappers = type(self), self.__dict__, self._wrappers
        return all(
            getattr(mine, name) is getattr(cls, name) and own.get(name) is wrappers.get(name)
            for name in names
        )
