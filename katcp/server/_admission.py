"""Who may come in, by address and by number."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Host of a client that has no address of the network, such as one of a Unix socket.
LOCAL = ""

#: IPv4 addresses as IPv6 has them (``::ffff:10.0.0.1``): length of what is in front of them [bits].
_MAPPED = 96


def address_of(host: str) -> Address | None:
    """Return a host's address, IPv4 if it is one in IPv6's clothes; None if it is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def network_of(entry: object) -> Network:
    """Return the network that an entry of an allow-list stands for.

    Raises
    ------
    ValueError
        If it is neither an address nor a network; the text names it.
    """
    if isinstance(entry, str):
        text = entry.strip()
    elif isinstance(entry, (ipaddress.IPv4Address, ipaddress.IPv6Address, *_NETWORKS)):
        text = str(entry)
    else:
        raise ValueError(f"{entry!r} is neither an address nor a network.")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        hint = ""
        try:
            hint = f"; the network is {ipaddress.ip_network(text, strict=False)}"
        except ValueError:
            pass
        raise ValueError(f"{entry!r} is neither an address nor a network: {error}{hint}") from None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network(f"{mapped}/{network.prefixlen - _MAPPED}")
    return network


_NETWORKS = (ipaddress.IPv4Network, ipaddress.IPv6Network)


def networks_of(allow: Iterable[object] | str) -> tuple[Network, ...]:
    """Return the networks of an allow-list, or of the one entry that is given in its place.

    Raises
    ------
    ValueError
    """
    entries = [allow] if isinstance(allow, (str, *_NETWORKS)) else allow
    return tuple(map(network_of, entries))


def host_of(transport: Any) -> str | None:
    """Return the host at the other end of a transport.

    `LOCAL` means that it comes by a Unix socket; None, that it cannot be told, as of a client that
    has gone already.
    """
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple) and name:
        return str(name[0])
    sock = transport.get_extra_info("socket")
    family = getattr(sock, "family", None)
    return LOCAL if family is not None and family == getattr(socket, "AF_UNIX", None) else None


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this computer, by the loopback interface or a Unix socket."""
    if host is None:
        return False
    address = address_of(host)
    return host == LOCAL if address is None else address.is_loopback


class Refusal(str):
    """Why a client is turned away: what it is told.

    Attributes
    ----------
    counter : str
        Which counter of the server's statistics it belongs to.
    """

    counter: str

    def __new__(cls, text: str, counter: str) -> Refusal:
        """Make one."""
        self = super().__new__(cls, text)
        self.counter = counter
        return self


class Admission:
    """The places of a server, and the rules for them. Decides only; knows no sockets.

    Parameters
    ----------
    allow : iterable of str, IPv4Network, IPv6Network, ..., optional
        Addresses and networks that clients may come from; None: any.
    max_clients : int, optional
        Places in all; None: any number.
    max_clients_per_address : int, optional
        Places for clients of one address; None: any number.
    reserved_clients : int
        So many of all places are for clients of this computer only.

    Raises
    ------
    ValueError
        For an entry that is neither an address nor a network, and for numbers that leave no place.
    """

    def __init__(
        self,
        allow: Iterable[object] | str | None = None,
        max_clients: int | None = None,
        max_clients_per_address: int | None = None,
        reserved_clients: int = 0,
    ) -> None:
        self.networks = None if allow is None else networks_of(allow)
        if max_clients_per_address is not None and max_clients_per_address < 1:
            raise ValueError(
                f"max_clients_per_address must be positive, not {max_clients_per_address}."
            )
        if reserved_clients < 0:
            raise ValueError(f"reserved_clients must not be negative, as {reserved_clients} is.")
        if max_clients is not None and reserved_clients and reserved_clients >= max_clients:
            raise ValueError(
                f"reserved_clients ({reserved_clients}) must be less than "
                f"max_clients ({max_clients})."
            )
        self.max_clients = max_clients
        self.max_clients_per_address = max_clients_per_address
        self.reserved_clients = reserved_clients
        self._clients = 0
        self._by_host: dict[str | None, int] = {}

    def refusal(self, host: str | None) -> Refusal | None:
        """Return why a client from `host` cannot come in; None if it can."""
        if self.networks is not None and not self._is_allowed(host):
            return Refusal(
                f"Clients from {host or 'unknown addresses'} are not allowed.", "refused_address"
            )
        limit = self.max_clients
        if limit is not None and self._clients >= limit - self.reserved_clients:
            last_places = self._clients < limit and is_loopback(host)
            if not last_places:
                return Refusal("Too many clients.", "refused_number")
        each = self.max_clients_per_address
        if each is not None and self._by_host.get(host, 0) >= each:
            return Refusal(f"Too many clients from {host or 'one address'}.", "refused_number")
        return None

    def _is_allowed(self, host: str | None) -> bool:
        if host is None or self.networks is None:
            return False
        if host == LOCAL:
            return True  # the permissions of the socket's file have let it in
        address = address_of(host)
        return address is not None and any(address in network for network in self.networks)

    def enter(self, host: str | None) -> None:
        """Give a client its place."""
        self._clients += 1
        self._by_host[host] = self._by_host.get(host, 0) + 1

    def leave(self, host: str | None) -> None:
        """Take a client's place back."""
        self._clients -= 1
        left = self._by_host.get(host, 0) - 1
        if left > 0:
            self._by_host[host] = left
        else:
            self._by_host.pop(host, None)

    def clear(self) -> None:
        """Take all places back."""
        self._clients = 0
        self._by_host.clear()
