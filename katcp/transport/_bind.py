"""Sockets to listen with, bound at once and without a loop."""

from __future__ import annotations

import errno
import socket
import sys

from katcp.transport._listening import ListeningSocket

#: How often a free port is looked for that is free in all families.
_TRIES = 10


def bind_sockets(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return sockets that listen on an address, one for each family that it has.

    Parameters
    ----------
    host : str
        Name or address of an interface; empty: all interfaces, IPv4 and IPv6.
    port : int
        TCP port, the same in all families; 0: any free one.
    backlog : int
        Connections that may wait to be accepted.

    Raises
    ------
    OSError
        If the address cannot be listened on. No socket is left open then.
    """
    for _ in range(_TRIES - 1 if port == 0 else 0):
        try:
            return _bind_all(host, port, backlog)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return _bind_all(host, port, backlog)


def _bind_all(host: str, port: int, backlog: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock: socket.socket = ListeningSocket(family, kind, protocol)
            except OSError:
                continue  # the system knows the name of this family, but does not have it
            sockets.append(sock)
            if port == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            if not _bind(sock, family, address, backlog):
                sockets.pop().close()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, f"There is no address to listen on for {host!r}")
    return sockets


def _bind(sock: socket.socket, family: int, address: tuple[object, ...], backlog: int) -> bool:
    """Bind and listen; false if the system does not have the address."""
    sock.setblocking(False)
    if sys.platform != "win32":
        # So that a server can be started again at once; on Windows it would mean something else.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has a socket of its own
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return False
        raise
    sock.listen(backlog)
    return True
