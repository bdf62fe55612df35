"""Where an endpoint is: its name, what it belongs to, and its turns there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from katcp.endpoints._lanes import Lane

if TYPE_CHECKING:
    from katcp.endpoints._endpoint import Endpoint
    from katcp.endpoints._host import EndpointHost
    from katcp.endpoints._provider import Provider

_NAME = re.compile(r"[A-Za-z0-9_\-]+", re.ASCII)

#: What the sensors of an endpoint are called behind its own name, so that no child may be.
SENSOR_WORDS = ("raw", "locked", "logging", "last-alert")


class Placed:
    """Something with a name, perhaps in a provider, perhaps served.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        self._name = check_name(name)
        self._parent: Provider | None = None
        self._host: EndpointHost | None = None
        self._lane = Lane()

    @property
    def name(self) -> str:
        """Its own name, without those of what it is part of."""
        return self._name

    @property
    def parent(self) -> Provider | None:
        """The provider that it belongs to."""
        return self._parent

    @property
    def host(self) -> EndpointHost | None:
        """What serves it; None while nothing does."""
        return self._host if self._parent is None else self._parent.host

    @property
    def path(self) -> str:
        """Its names from the outermost provider on, joined by dots, without the node."""
        if self._parent is None:
            return self._name
        return f"{self._parent.path}.{self._name}"

    @property
    def address(self) -> str:
        """Its whole address: node and path."""
        host = self.host
        return f"{host.node}.{self.path}" if host is not None and host.node else self.path

    @property
    def lane(self) -> Lane:
        """Where what is asked of it takes its turns: that of its provider."""
        return self._lane if self._parent is None else self._parent.own_lane

    def children(self) -> tuple[Endpoint, ...]:
        """Return the endpoints that belong to it: none, if it is no provider."""
        return ()

    def walk(self) -> list[Endpoint]:
        """Return it and all endpoints below it, each before those that belong to it."""
        found: list[Endpoint] = [self]  # type: ignore[list-item]  # whatever is placed is one
        for child in self.children():
            found += child.walk()
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


def check_unplaced(endpoint: object) -> None:
    """Refuse what cannot be added to a provider, or served.

    Raises
    ------
    TypeError
        If it is no endpoint.
    ValueError
        If it belongs to something else.
    """
    if isinstance(endpoint, type) and issubclass(endpoint, Placed):
        raise TypeError(f"an endpoint is expected, not the class {endpoint.__name__}: call it")
    if not isinstance(endpoint, Placed):
        raise TypeError(f"an endpoint is expected, not {endpoint!r}")
    if not hasattr(endpoint, "_name"):
        kind = type(endpoint).__name__
        raise TypeError(f"{kind}.__init__() did not call super().__init__() with the name")
    if endpoint.parent is not None or endpoint.host is not None:
        raise ValueError(f"the endpoint {endpoint.name!r} belongs to something else already")


def check_endpoints(endpoints: object) -> list[Any]:
    """Return endpoints that were given as arguments.

    Raises
    ------
    TypeError
        If they are no iterable.
    """
    if isinstance(endpoints, (str, Placed)) or not isinstance(endpoints, Iterable):
        raise TypeError(f"endpoints is a list of endpoints, not {endpoints!r}")
    return list(endpoints)


def check_name(name: object) -> str:
    """Return the name of an endpoint, or of a node.

    Raises
    ------
    TypeError
        If it is no text.
    ValueError
        If it cannot be one.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an endpoint is a text, not {name!r}")
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} cannot be the name of an endpoint: it has ASCII letters, digits, '_' and "
            "'-', at least one, and no dots or blanks"
        )
    return name
