"""A client whose informs can be looked at before anything else is done with them."""

from __future__ import annotations

from collections.abc import Callable

from katcp.client import AsyncClient
from katcp.protocol import Message


class _InformHookDeviceClient(AsyncClient):
    """An `AsyncClient` with hooks, for those who build something on it."""

    #: Called when it has become known what the device speaks, with whether something else was
    #: believed before on this connection.
    on_protocol: Callable[[bool], object] | None = None

    def hook_inform(self, inform_name: str, callback: Callable[[Message], object]) -> None:
        """Have ``callback(message)`` called for each inform of that name, before all else.

        Also for those that belong to a reply. Registered twice it is called once; what it
        raises is logged.
        """
        hooks = self._inform_hooks.setdefault(inform_name, [])
        if callback not in hooks:
            hooks.append(callback)

    def protocol_known(self, revised: bool) -> None:
        """Tell who wants to know."""
        super().protocol_known(revised)
        if self.on_protocol is not None:
            self.on_protocol(revised)
