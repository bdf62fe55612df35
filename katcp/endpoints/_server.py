"""Device servers that have endpoints."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._host import EndpointHost
from katcp.endpoints._keys import Persistence
from katcp.endpoints._placed import check_endpoints, check_name
from katcp.server import AsyncDeviceServer, ClientConnection, DeviceServer
from katcp.storage import Database


class EndpointServer(DeviceServer):
    r"""A device with endpoints.

    Parameters are those of `DeviceServer`, and

    Parameters
    ----------
    endpoints : iterable of Endpoint
        Those that it begins with.
    node : str
        First name of all addresses; empty: none.
    may_force : callable, optional
        Decides who may open what somebody else has locked; see `Locks`.
    persist : path, katcp.storage.Database or Persistence, optional
        Where the values of keys, and locks, are kept, so that a device that is started again has
        them. None: nowhere.

    Raises
    ------
    katcp.storage.StorageError
        If the database cannot be opened; the text says which it is and why.

    Examples
    --------
    ::

        store = KeyValueStore("kv_example", endpoints=[StoreKey("foo", initial_value="1.79")])
        server = EndpointServer("", 7147, endpoints=[store], node="somenode")
        server.start()

    ::

        ?get[1] somenode.kv_example.foo
        !get[1] ok 1.79 \@ 1767225600.250000 nominal
    """

    VERSION_INFO = ("endpoint-server", 1, 0)

    def __init__(
        self,
        *args: Any,
        endpoints: Iterable[Endpoint] = (),
        node: str = "",
        may_force: Callable[[Any], Any] | None = None,
        persist: str | os.PathLike[str] | Database | Persistence | None = None,
        **kwargs: Any,
    ) -> None:
        self._endpoint_options: dict[str, Any] = {
            "node": node,
            "may_force": may_force,
            "database": persist,
        }
        if node:
            check_name(node)
        super().__init__(*args, **kwargs)
        for endpoint in check_endpoints(endpoints):
            self.endpoint_host.add(endpoint)

    def setup_sensors(self) -> None:
        """Make no sensors but those of the endpoints; subclasses may add theirs."""

    @functools.cached_property
    def endpoint_host(self) -> EndpointHost:
        """What serves the endpoints; there from the constructor on, in `setup_sensors` too."""
        return EndpointHost(self, **self._endpoint_options)

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client (called by the socket side)."""
        super().client_gone(connection)
        if "endpoint_host" in vars(self):  # else there has been no endpoint yet
            self.endpoint_host.client_gone(connection)


class AsyncEndpointServer(EndpointServer, AsyncDeviceServer):
    """A device with endpoints that runs in the loop that is current when it is made.

    Its parameters are those of `EndpointServer`.
    """
