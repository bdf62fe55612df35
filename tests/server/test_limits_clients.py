"""Who may come in, by address and by number; and for how long a client may be silent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trustme

from katcp.protocol import Message
from katcp.server import AsyncDeviceServer, ClientConnection
from katcp.server._admission import LOCAL, Admission, host_of, is_loopback, network_of
from tests.helpers.serving import Bare, BareThreaded, serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient

ELSEWHERE = "192.0.2.7"


# -- rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "host", "is_allowed"),
    [
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.4", False),
        (["10.1.0.0/16"], "10.1.255.255", True),
        (["10.1.0.0/16"], "10.2.0.0", False),
        (["10.1.0.0/16"], "10.0.255.255", False),
        ("10.1.2.3", "10.1.2.3", True),  # one entry, not eight
        (" 10.1.2.3 ", "10.1.2.3", True),
        (["192.168.0.0/24", "10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3"], "::ffff:10.1.2.3", True),
        (["::ffff:10.1.2.0/120"], "10.1.2.3", True),
        (["::ffff:10.1.2.3"], "::ffff:10.1.2.3", True),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::/32"], "2001:db9::5", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "10.1.2.3", True),
        (["0.0.0.0/0"], "::1", False),
        (["::/0"], "10.1.2.3", False),  # IPv4 is not what that says
        ([ipaddress.ip_network("10.1.0.0/16")], "10.1.2.3", True),
        (ipaddress.ip_network("10.1.0.0/16"), "10.1.2.3", True),
        ([ipaddress.ip_address("10.1.2.3")], "10.1.2.3", True),
        ([], "127.0.0.1", False),
        (None, "10.1.2.3", True),
        (None, None, True),
        (["0.0.0.0/0", "::/0"], None, False),
        (["0.0.0.0/0", "::/0"], "not an address", False),
        (["10.1.2.3"], LOCAL, True),  # the socket's file has permissions
    ],
)
def test_allow_list(allow: Any, host: str | None, is_allowed: bool) -> None:
    assert (Admission(allow).refusal(host) is None) is is_allowed


@pytest.mark.parametrize(
    "entry", ["example.org", "10.1.2", "10.1.2.3/33", "", "10.1.2.3/16", 10, b"10.1.2.3", None]
)
def test_bad_entry_is_named(entry: Any) -> None:
    with pytest.raises(ValueError, match="neither an address nor a network") as caught:
        Bare("127.0.0.1", 0, allow=["10.0.0.1", entry])
    assert repr(entry) in str(caught.value)


def test_network_that_is_meant_is_named() -> None:
    with pytest.raises(ValueError, match=r"the network is 10\.1\.0\.0/16"):
        network_of("10.1.2.3/16")


@pytest.mark.parametrize(
    ("host", "is_so"),
    [
        ("127.0.0.1", True),
        ("127.200.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (LOCAL, True),
        (ELSEWHERE, False),
        (None, False),
        ("localhost", False),
    ],
)
def test_is_loopback(host: str | None, is_so: bool) -> None:
    assert is_loopback(host) is is_so


def test_the_last_places_are_kept_for_this_computer() -> None:
    admission = Admission(None, max_clients=3, reserved_clients=2)
    assert admission.refusal(ELSEWHERE) is None
    admission.enter(ELSEWHERE)
    assert admission.refusal(ELSEWHERE) == "Too many clients."
    for _ in range(2):
        assert admission.refusal("127.0.0.1") is None
        admission.enter("127.0.0.1")
    assert admission.refusal("127.0.0.1") == "Too many clients."
    admission.leave(ELSEWHERE)
    assert admission.refusal(ELSEWHERE) == "Too many clients."  # what is left is reserved
    assert admission.refusal("::1") is None


def test_places_of_an_address_are_given_back() -> None:
    admission = Admission(None, max_clients_per_address=2)
    admission.enter(ELSEWHERE)
    assert admission.refusal(ELSEWHERE) is None
    admission.enter(ELSEWHERE)
    assert admission.refusal(ELSEWHERE) == f"Too many clients from {ELSEWHERE}."
    assert admission.refusal("192.0.2.8") is None
    admission.leave(ELSEWHERE)
    assert admission.refusal(ELSEWHERE) is None
    admission.leave(ELSEWHERE)
    assert admission._by_host == {}


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max_clients_per_address": 0}, "max_clients_per_address must be positive"),
        ({"reserved_clients": -1}, "reserved_clients must not be negative"),
        ({"max_clients": 8, "reserved_clients": 8}, "must be less than max_clients"),
        ({"idle_timeout": 0}, "idle_timeout must be positive"),
        ({"keepalive": (30, 10)}, "keepalive must be"),
        ({"keepalive": (30, 0, 3)}, "keepalive must be"),
        ({"keepalive": 30}, "keepalive must be"),
        ({"keepalive": (0.5, 1, 1)}, "keepalive must be"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Bare("127.0.0.1", 0, **limits)


def test_host_of_a_unix_socket_and_of_one_that_is_gone() -> None:
    class Transport(asyncio.Transport):
        def __init__(self, sock: socket.socket) -> None:
            super().__init__({"peername": None, "socket": sock})

    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
        assert host_of(Transport(unix)) == LOCAL
        assert host_of(Transport(tcp)) is None


# -- over sockets -----------------------------------------------------------------------


@contextlib.asynccontextmanager
async def client_of(server: AsyncDeviceServer, source: str) -> AsyncIterator[WireClient]:
    """Connect from an address of this computer."""
    reader, writer = await asyncio.open_connection(*server.bind_address, local_addr=(source, 0))
    async with WireClient(reader, writer) as client:
        yield client


async def test_client_from_elsewhere_is_told_and_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bare("127.0.0.1", 0, allow=["10.0.0.0/8"])) as server:
        with caplog.at_level(logging.WARNING):
            for _ in range(50):
                async with client_of(server, "127.0.0.1") as client:
                    await client.send(b"?watchdog[1]")
                    with contextlib.suppress(ConnectionError):
                        answer = await client.rest()
                        assert answer in (
                            b"",
                            b"#disconnect Clients\\_from\\_127.0.0.1\\_are\\_not\\_allowed.\n",
                        )
        assert server.statistics.clients_refused_address == 50
        assert server.statistics.clients_accepted == server.statistics.clients == 0
    (record,) = [r for r in caplog.records if "Turned" in r.getMessage()]
    assert "127.0.0.1" in record.getMessage()


async def test_text_reaches_who_only_listens() -> None:
    async with (
        serving(Bare("127.0.0.1", 0, allow="10.0.0.0/8")) as server,
        client_of(server, "127.0.0.1") as client,
    ):
        assert await client.rest() == (
            b"#disconnect Clients\\_from\\_127.0.0.1\\_are\\_not\\_allowed.\n"
        )


async def test_over_tls_there_is_no_handshake_with_those_from_elsewhere() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = Bare("127.0.0.1", 0, allow=["10.0.0.0/8"], ssl_context=context)
    async with serving(server):
        told = ssl.create_default_context()
        told.check_hostname = False
        told.verify_mode = ssl.CERT_NONE
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.open_connection(*server.bind_address, ssl=told)
        assert server.statistics.clients_refused_address == 1
        server.katcp_allow("127.0.0.1")
        reader, writer = await asyncio.open_connection(*server.bind_address, ssl=told)
        async with WireClient(reader, writer) as client:
            assert (await client.line()).startswith(b"#version-connect ")


@pytest.mark.skipif(sys.platform != "linux", reason="other addresses of the loopback interface")
async def test_one_address_is_allowed_and_another_is_not() -> None:
    async with serving(Bare("127.0.0.1", 0, allow=["127.0.0.2"])) as server:
        async with client_of(server, "127.0.0.2") as client:
            assert (await client.line()).startswith(b"#version-connect ")
        async with client_of(server, "127.0.0.1") as client:
            assert (await client.line()).startswith(b"#disconnect ")


async def test_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    server = Bare("::1", 0, allow=["::1/128"])
    try:
        async with serving(server), talking(server) as client:
            assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            (connection,) = server._server.connections
            assert connection.host == "::1"
    except OSError:
        pytest.skip("no IPv6")


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_clients_of_one_address(limit: int) -> None:
    """One less than the limit, the limit, and one more."""
    async with serving(Bare("127.0.0.1", 0, max_clients_per_address=limit)) as server:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(limit):
                client = await stack.enter_async_context(talking(server))
                assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            async with talking(server, greeting=0) as late:
                assert await late.rest() == (
                    b"#disconnect Too\\_many\\_clients\\_from\\_127.0.0.1.\n"
                )
            if sys.platform == "linux":
                async with client_of(server, "127.0.0.3") as other:
                    assert (await other.line()).startswith(b"#version-connect ")
            await client.close()
            await until(lambda: server.statistics.clients < limit)
            async with talking(server) as again:
                assert await again.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert server.statistics.clients_refused_number == 1


async def test_reserved_places_are_for_the_loopback_interface() -> None:
    async with serving(Bare("127.0.0.1", 0, max_clients=2, reserved_clients=1)) as server:
        server._server.admission.enter(ELSEWHERE)
        assert server._server.admission.refusal(ELSEWHERE) == "Too many clients."
        async with talking(server) as client:
            assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            async with talking(server, greeting=0) as late:
                assert await late.rest() == b"#disconnect Too\\_many\\_clients.\n"


async def test_places_come_back_whatever_ends_a_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Moody(Bare):
        mood = "good"

        def on_client_connect(self, client_conn: ClientConnection) -> Any:
            if self.mood == "bad":
                raise OSError("no hardware")
            return super().on_client_connect(client_conn)

    async with serving(Moody("127.0.0.1", 0, max_clients_per_address=100)) as server:
        places = server._server.admission
        async with talking(server):
            assert places._by_host == {"127.0.0.1": 1}
        async with talking(server) as client:
            (connection,) = [c for c in server._server.connections if not c.closed]
            server._server.disconnect(connection, "Bye.")
            await client.rest()
        async with talking(server):
            (connection,) = [c for c in server._server.connections if not c.closed]
            connection.abort("for a test")
        server.mood = "bad"
        async with talking(server, greeting=0) as client:
            assert b"no\\_hardware" in await client.rest()
        await until(lambda: places._by_host == {})
        server.mood = "good"
        client = await WireClient.connect(server.bind_address)
    await client.rest()
    await client.close()
    assert places._by_host == {}
    assert places._clients == 0


async def test_keepalive_is_set_on_the_socket() -> None:
    if not hasattr(socket, "TCP_KEEPIDLE"):
        pytest.skip("the system has no such options")
    for keepalive, expected in (((7, 3, 2), (1, 7, 3, 2)), (None, (0,))):
        server = Bare("127.0.0.1", 0, keepalive=keepalive)
        async with serving(server), talking(server):
            (connection,) = server._server.connections
            sock = connection.transport.get_extra_info("socket")
            options = [sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
            options += [
                sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            ]
            assert tuple(options[: len(expected)]) == expected


async def test_keepalive_of_old() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server):
        (connection,) = server._server.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# -- silence ----------------------------------------------------------------------------


class Slow(Bare):
    """Has a request that takes until it is released."""

    def setup_sensors(self) -> None:
        self.release = asyncio.Event()

    async def request_wait(self, req: Any, msg: Message) -> Any:
        """Wait."""
        await self.release.wait()
        return req.make_reply("ok")


async def test_silent_client_is_disconnected_and_others_are_not() -> None:
    async with (
        serving(Slow("127.0.0.1", 0, idle_timeout=0.4)) as server,
        talking(server) as silent,
        talking(server) as busy,
        talking(server) as waiting,
    ):
        await waiting.send(b"?wait[1]")
        ended = asyncio.ensure_future(silent.rest())
        while not ended.done():
            assert await busy.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            await asyncio.sleep(0.02)
        assert ended.result() == b"#disconnect Nothing\\_was\\_heard\\_for\\_0.4\\_s.\n"
        for _ in range(50):  # as long again
            assert await busy.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
            await asyncio.sleep(0.02)
        server.release.set()
        assert await waiting.line() == b"!wait[1] ok"
        assert server.statistics.clients_dropped_idle == 1


async def test_nobody_is_disconnected_by_default() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server):
        assert server._server._idle_watch is None


def test_watch_ends_with_the_server() -> None:
    server: Any = BareThreaded("127.0.0.1", 0, idle_timeout=0.05, allow="127.0.0.1", max_requests=5)
    with (
        serving_in_thread(server),
        socket.create_connection(server.bind_address) as client,
        client.makefile("rb") as stream,
    ):
        assert stream.read().endswith(b"#disconnect Nothing\\_was\\_heard\\_for\\_0.05\\_s.\n")
    assert server._server._idle_watch is None
    gone = weakref.ref(server)
    del server
    gc.collect()
    assert gone() is None
