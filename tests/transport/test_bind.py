"""Sockets to listen with."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket

import pytest

from katcp.transport import _bind, bind_sockets


@contextlib.contextmanager
def closing(sockets: list[socket.socket]):  # type: ignore[no-untyped-def]
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def test_one_address_is_one_socket_that_listens() -> None:
    with closing(bind_sockets("127.0.0.1", 0, 5)) as (sock,):
        address = sock.getsockname()
        assert address[0] == "127.0.0.1"
        assert address[1] > 0
        assert not sock.getblocking()
        socket.create_connection(address).close()


def test_no_host_is_all_interfaces_with_one_port() -> None:
    with closing(bind_sockets("", 0, 5)) as sockets:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert len({sock.family for sock in sockets}) == len(sockets)
        assert sockets[0].family in (socket.AF_INET, socket.AF_INET6)


def test_a_name_is_looked_up() -> None:
    with closing(bind_sockets("localhost", 0, 5)) as sockets:
        assert {sock.getsockname()[0] for sock in sockets} <= {"127.0.0.1", "::1"}


def test_a_port_that_is_taken() -> None:
    with closing(bind_sockets("127.0.0.1", 0, 5)) as (sock,):
        port = sock.getsockname()[1]
        for host in ("127.0.0.1", ""):
            with pytest.raises(OSError, match="in use") as caught:
                bind_sockets(host, port, 5)
            assert caught.value.errno == errno.EADDRINUSE
        del caught
        gc.collect()  # a socket left open would be complained of here


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(OSError) as caught:
        bind_sockets("192.0.2.1", 0, 5)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_an_unknown_host() -> None:
    with pytest.raises(socket.gaierror):
        bind_sockets("no-such-host.invalid", 0, 5)


def test_a_free_port_is_looked_for_until_all_families_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bind_all = _bind._bind_all
    failures = [OSError(errno.EADDRINUSE, "in use")] * 3

    def unlucky(host: str, port: int, backlog: int) -> list[socket.socket]:
        # What happens when another program has, in one family, the port that is free in the other.
        if failures:
            raise failures.pop()
        return bind_all(host, port, backlog)

    monkeypatch.setattr(_bind, "_bind_all", unlucky)
    with closing(bind_sockets("127.0.0.1", 0, 5)) as sockets:
        assert len(sockets) == 1


def test_a_family_that_the_system_does_not_have_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = socket.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
    elsewhere = (9999, *found[0][1:])
    nowhere = (*found[0][:4], ("192.0.2.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere, nowhere, *found])
    with closing(bind_sockets("anything", 0, 5)) as sockets:
        assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1"]
