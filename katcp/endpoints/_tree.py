"""Addresses: which endpoint a dotted name means."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from katcp.endpoints._codes import RoutingKeyError
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._options import nearest

#: Names in the text of an error, of those that were found.
_MOST_NAMED = 5
#: An address that is not found is compared with so many, if it has no more characters than that.
_MOST_COMPARED = 300
_LONGEST = 100


class AddressBook:
    """Endpoints by every dotted end of their addresses.

    The address of an endpoint is ``node.provider.endpoint``; any end of it that only one endpoint
    has will do. One that has it as its whole path is meant before those that end with it, or it
    could not be addressed at all.

    Parameters
    ----------
    node : str
        Name before all paths; empty: none.
    """

    def __init__(self, node: str = "") -> None:
        self.node = node
        self._by_path: dict[str, Endpoint] = {}
        # Most ends are of one only; of the others, thousands of instruments may have the same.
        self._by_end: dict[str, Endpoint | dict[Endpoint, None]] = {}

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._by_path.values())

    def __len__(self) -> int:
        return len(self._by_path)

    def __contains__(self, path: object) -> bool:
        return path in self._by_path

    def add(self, endpoint: Endpoint) -> None:
        """Add one, of a path that is not there."""
        path = endpoint.path
        self._by_path[path] = endpoint
        for end in self._ends(path):
            known = self._by_end.get(end)
            if known is None:
                self._by_end[end] = endpoint
            elif isinstance(known, Endpoint):
                self._by_end[end] = {known: None, endpoint: None}
            else:
                known[endpoint] = None

    def remove(self, endpoint: Endpoint) -> None:
        """Remove one; while it still has its path."""
        path = endpoint.path
        del self._by_path[path]
        for end in self._ends(path):
            known = self._by_end[end]
            if isinstance(known, Endpoint):
                del self._by_end[end]
                continue
            del known[endpoint]
            if len(known) == 1:
                self._by_end[end] = next(iter(known))

    def _ends(self, path: str) -> Iterator[str]:
        words = (f"{self.node}.{path}" if self.node else path).split(".")
        for first in range(len(words)):
            yield ".".join(words[first:])

    def find(self, address: str) -> Endpoint:
        """Return the endpoint that an address means.

        Raises
        ------
        RoutingKeyError
            If there is none, or more than one.
        """
        found = self._by_end.get(address)
        if isinstance(found, Endpoint):
            return found
        exact = self._by_path.get(address)
        if exact is not None:
            return exact
        if not found:
            # To look costs some time, which a client could make use of.
            few = len(self._by_end) <= _MOST_COMPARED and len(address) <= _LONGEST
            meant = nearest(address, self._by_end) if few else None
            hint = f"; did you mean {meant!r}?" if meant else ""
            raise RoutingKeyError(f"there is no endpoint {_shown(address)}{hint}")
        named = [one.address for one in itertools.islice(found, _MOST_NAMED)]
        if len(found) > _MOST_NAMED:
            named.append(f"{len(found) - _MOST_NAMED} more")
        raise RoutingKeyError(f"{address!r} can be any of {' and '.join(named)}")


def _shown(address: str) -> str:
    return repr(address if len(address) <= _LONGEST else f"{address[:_LONGEST]}...")
