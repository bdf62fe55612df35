"""A server over TLS, seen by clients that are sockets: the protocol, and who does not come in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.server import KATCPServer
from tests.helpers.badnet import BadNet
from tests.helpers.certificates import authority, other_authority
from tests.helpers.serving import Bare, serving, still_serves, until
from tests.helpers.tls_wire import Dialogue, tls_client
from tests.helpers.wire import WireClient

FAREWELL = rb"#disconnect This\_server\_is\_to\_be\_talked\_to\_over\_TLS." + b"\n"


class Echo(Bare):
    """Repeats what it is told."""

    def __init__(self, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self.gone: list[str] = []

    def request_echo(self, req: Any, text: bytes) -> bytes:
        """Repeat."""
        return text

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        self.gone.append(msg)
        return super().on_client_disconnect(conn, msg, connection_valid)


@contextlib.asynccontextmanager
async def echo(context: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Echo]:
    """Serve over TLS; in the end nobody must be left in a handshake."""
    server = Echo("127.0.0.1", 0, ssl_context=context or authority().server(), **options)
    async with serving(server):
        yield server
    assert len(handshakes(server)) == 0


def handshakes(server: Any) -> Any:
    return server._server._handshakes


async def still_served(server: Any, context: ssl.SSLContext | None = None) -> None:
    async with await tls_client(server.bind_address, context) as client:
        assert await client.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


# -- the protocol ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_of_all_sizes_are_answered(version: ssl.TLSVersion) -> None:
    context = authority().server()
    context.maximum_version = version
    async with echo(context) as server, await tls_client(server.bind_address) as client:
        for size in (0, 1, 16_000, 16_384, 16_385, 65_536, 1_000_000):
            text = b"x" * size or b"\\@"
            assert await client.ask(b"?echo[1] " + text) == [b"!echo[1] ok " + text]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with echo() as server, await tls_client(server.bind_address) as client:
        await client.send(*(b"?echo[%d] %d" % (i, i) for i in range(1, 3001)))
        assert await client.lines(3000) == [b"!echo[%d] ok %d" % (i, i) for i in range(1, 3001)]


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_however_the_stream_is_split(size: int) -> None:
    async with echo() as server, BadNet(server.bind_address) as net:
        net.up.size = net.down.size = size
        client = await tls_client(net.address)
        assert await client.ask(b"?echo[5] hello") == [b"!echo[5] ok hello"]
        await client.close()


async def test_many_records_in_one_piece() -> None:
    async with echo() as server, await Dialogue().connect(server.bind_address) as peer:
        await peer.shake_hands()
        await peer.hear(b"\n")
        for i in range(1, 1001):  # 30 kB: a record for each line
            peer.tls.write(b"?echo[%d] x\n" % i)
        await peer.send(peer.outgoing.read())
        heard = await peer.hear(b"!echo[1000] ok x\n")
        assert heard.count(b"!echo[") == 1000


async def test_a_request_that_comes_with_the_end_of_the_handshake() -> None:
    async with echo() as server, await Dialogue().connect(server.bind_address) as peer:
        await peer.send(peer.hello())
        while True:
            peer.incoming.write(await peer.reader.read(65536))
            try:
                peer.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        await peer.say(b"?echo[1] early")
        assert (await peer.hear(b"early\n")).endswith(b"!echo[1] ok early\n")


async def test_bad_lines_are_complained_of() -> None:
    async with echo(max_line=1000) as server, await tls_client(server.bind_address) as client:
        await client.send(b"nonsense", b"?echo[1] " + b"x" * 1001, b"?echo[2] good")
        lines = await client.until_reply()
        assert [line.split()[0] for line in lines] == [b"#log", b"#log", b"!echo[2]"]
        await client.raw(b"x" * 5000)
        assert b"#disconnect Line\\_too\\_long" in await client.rest()


async def test_the_end_of_the_server_is_announced_and_no_truncation() -> None:
    async with echo() as server:
        client = await Dialogue().connect(server.bind_address)
        await client.shake_hands()
        await client.hear(b"\n")
        stopping = server.stop()
        line = await client.hear(b"down.\n")
        assert line == b"#disconnect Device\\_server\\_shutting\\_down.\n"
        # A goodbye of TLS: the end is the end that the server meant.
        assert await client.until(lambda: client.tls.read(10)) == b""
        await stopping
        await client.close()


async def test_the_goodbye_of_a_client_ends_its_connection() -> None:
    async with echo() as server:
        client = await Dialogue().connect(server.bind_address)
        await client.shake_hands()
        await client.say(b"?echo[1] last")
        with contextlib.suppress(ssl.SSLError):
            client.tls.unwrap()
        await client.send(client.outgoing.read())
        await until(lambda: server.gone)
        assert server.gone == ["Socket EOF"]
        assert await client.hear(b"!echo[1] ok last\n")
        await client.close()


async def test_a_client_that_is_gone_without_a_goodbye() -> None:
    async with echo() as server:
        async with await Dialogue().connect(server.bind_address) as client:
            await client.shake_hands()
            await client.hear(b"\n")
        await until(lambda: server.gone)
        assert server.gone == ["Socket EOF"]


async def test_bytes_that_are_no_tls_end_a_connection() -> None:
    async with echo() as server:
        async with await Dialogue().connect(server.bind_address) as client:
            await client.shake_hands()
            await client.hear(b"\n")
            await client.send(b"?watchdog\n" + b"\0" * 100)
            await client.rest()
        await until(lambda: server.gone)
        assert len(server.gone) == 1
        await still_served(server)


async def test_a_threaded_server() -> None:
    from tests.helpers.serving import BareThreaded

    async with serving(BareThreaded("127.0.0.1", 0, ssl_context=authority().server())) as server:
        await still_served(server)


async def test_a_server_of_any_device() -> None:
    class Device:
        def on_client_connect(self, conn: Any) -> None:
            conn.inform(hello)

        def on_client_disconnect(self, conn: Any, msg: str, valid: bool) -> None:
            pass

        def on_message(self, conn: Any, msg: Any) -> None:
            conn.reply(type(msg).reply_to_request(msg, "ok"), msg)

        def create_log_inform(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError

    from katcp import Message

    hello = Message.inform("hello")
    server = KATCPServer(Device(), "127.0.0.1", 0, ssl_context=authority().server())
    server.set_ioloop()
    async with serving(server), await tls_client(server.bind_address, greeting=0) as client:
        assert await client.line() == b"#hello"
        assert await client.ask(b"?anything[3]") == [b"!anything[3] ok"]


@pytest.mark.parametrize("context", [True, "cert.pem", object()])
def test_what_is_no_context_is_refused(context: Any) -> None:
    with pytest.raises(TypeError, match=r"ssl_context is an ssl\.SSLContext"):
        Bare("127.0.0.1", 0, ssl_context=context)


def test_a_context_for_clients_is_refused() -> None:
    with pytest.raises(ValueError, match="not for a server"):
        Bare("127.0.0.1", 0, ssl_context=authority().client())


async def test_a_new_certificate_is_shown_from_the_next_connection_on(tmp_path: Any) -> None:
    context = authority().server("old.example")
    async with echo(context) as server:
        old = await tls_client(server.bind_address, name="old.example")
        certificate, key, _ = authority().write(tmp_path, "new.example")
        context.load_cert_chain(certificate, key)
        async with await tls_client(server.bind_address, name="new.example") as new:
            assert await new.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert await old.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        await old.close()


# -- certificates of clients ----------------------------------------------------------------


async def test_the_certificate_of_a_client_can_be_read() -> None:
    async with echo(authority().server_for_members()) as server:
        context = authority().client("control@example.org")
        async with await tls_client(server.bind_address, context) as client:
            await client.ask(b"?watchdog[1]")
            (connection,) = server._server.connections
            certificate = connection.peer_certificate
            assert certificate is not None
            assert certificate["subjectAltName"] == (("email", "control@example.org"),)
            der = connection.transport.get_extra_info("ssl_object").getpeercert(True)
            assert der.startswith(b"\x30")
            assert connection.transport.get_extra_info("cipher")[1].startswith("TLS")
        await until(lambda: server.gone)
        assert connection.peer_certificate == certificate  # for who looks at it in the end


async def test_without_one_there_is_none() -> None:
    async with echo() as server, await tls_client(server.bind_address) as client:
        await client.ask(b"?watchdog[1]")
        (connection,) = server._server.connections
        assert connection.peer_certificate is None
    async with serving(Bare("127.0.0.1", 0)) as plain, await WireClient.connect(plain.bind_address):
        (connection,) = plain._server.connections
        assert connection.peer_certificate is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["none", "of others", "expired"])
async def test_who_is_no_member_does_not_come_in(
    kind: str, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    context = {
        "none": lambda: authority().client(),
        "of others": lambda: authority().member_of(other_authority(), "me@example.org"),
        "expired": lambda: authority().client("me@example.org", expired=True),
    }[kind]()
    context.maximum_version = version
    async with echo(authority().server_for_members()) as server:
        connected: list[Any] = []
        server.on_client_connect = connected.append  # type: ignore[method-assign]
        async with await Dialogue(context).connect(server.bind_address) as client:
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                await client.hear(b"\n")
        assert not connected
        await until(lambda: len(handshakes(server)) == 0)
    (warning,) = warnings(caplog)
    reason = {
        "none": "the client has no certificate, and must have one",
        "of others": "the certificate is not accepted (unable to get local issuer certificate)",
        "expired": "the certificate is not accepted (certificate has expired)",
    }[kind]
    assert warning.startswith("No TLS with 127.0.0.1:")
    assert warning.endswith(reason)


# -- handshakes that come to nothing ----------------------------------------------------------


@pytest.mark.parametrize("line", [b"?help\n", b"!x ok\n", b"#x\n", b"\n"])
async def test_a_client_without_tls_is_told(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with echo() as server:
        client = await WireClient.connect(server.bind_address, greeting=0)
        await client.raw(line * 1000)
        assert await client.rest() == FAREWELL
        await client.close()
        assert not server._server.connections
        await still_served(server)
    (warning,) = warnings(caplog)
    assert warning.endswith("it does not speak TLS")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01", b"\0" * 70_000])
async def test_garbage_is_dropped(data: bytes) -> None:
    async with echo() as server:
        client = await WireClient.connect(server.bind_address, greeting=0)
        await client.raw(data)
        assert await client.rest() == b""
        await client.close()
        await still_served(server)


async def test_garbage_that_begins_like_tls() -> None:
    chance = random.Random(5)
    hello = Dialogue().hello()
    async with echo() as server:
        for _ in range(60):
            data = bytearray(hello)
            for _ in range(chance.choice([1, 5, 50])):
                data[chance.randrange(1, len(data))] = chance.randrange(256)
            client = await WireClient.connect(server.bind_address, greeting=0)
            await client.raw(b"\x16\x03" + bytes(data))
            client.writer.write_eof()
            try:
                await client.rest()
            except ConnectionResetError:
                pass
            await client.close()
        await until(lambda: len(handshakes(server)) == 0)
        assert not server._server.connections
        await still_served(server)


async def test_a_client_that_never_speaks_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async with echo(max_clients=1) as server:
        server._server.HANDSHAKE_TIMEOUT = 0.3  # type: ignore[misc]
        silent = [await WireClient.connect(server.bind_address, greeting=0) for _ in range(3)]
        await until(lambda: len(handshakes(server)) == 3)
        # They are no clients.
        await still_served(server)
        for client in silent:
            assert await client.rest() == FAREWELL  # it may be waiting for a greeting
            await client.close()
        await until(lambda: len(handshakes(server)) == 0)
    assert [w.rpartition(": ")[2] for w in warnings(caplog)] == ["no handshake within 0.3 s"] * 3


async def test_the_time_limit_is_of_the_whole_handshake() -> None:
    async with echo() as server:
        server._server.HANDSHAKE_TIMEOUT = 0.3  # type: ignore[misc]
        async with await Dialogue().connect(server.bind_address) as client:
            ended = asyncio.ensure_future(client.rest())
            for byte in client.hello():
                if ended.done():
                    break
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
            assert ended.done()
            assert ended.exception() is None or isinstance(ended.exception(), ConnectionError)
        await until(lambda: len(handshakes(server)) == 0)


async def test_a_port_that_is_only_looked_at_is_nothing_to_warn_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with echo() as server:
        for _ in range(5):
            client = await WireClient.connect(server.bind_address, greeting=0)
            await client.close()
        await until(lambda: len(handshakes(server)) == 0)
    assert warnings(caplog) == []


async def test_failures_are_logged_a_few_a_second(caplog: pytest.LogCaptureFixture) -> None:
    async with echo() as server:
        for _ in range(50):
            client = await WireClient.connect(server.bind_address, greeting=0)
            await client.raw(b"?help\n")
            await client.close()
        await until(lambda: len(handshakes(server)) == 0)
    assert 5 <= len(warnings(caplog)) <= 20  # it takes a second or two


@pytest.mark.parametrize("extra", [-1, 0, 1])
async def test_of_too_many_handshakes_the_most_silent_goes(extra: int) -> None:
    server = Echo("127.0.0.1", 0, ssl_context=authority().server())
    server._server.MAX_HANDSHAKES = 4  # type: ignore[misc]
    async with serving(server):
        talking = await Dialogue().connect(server.bind_address)
        await talking.send(talking.hello()[:20])
        await until(lambda: len(handshakes(server)._talking) == 1)
        silent = []
        for count in range(1, 4 + extra):
            silent.append(await WireClient.connect(server.bind_address, greeting=0))
            await until(lambda count=count: len(handshakes(server)) == min(count + 1, 4))
        if extra > 0:
            with contextlib.suppress(ConnectionResetError):
                assert await silent[0].rest() == b""
            assert len(handshakes(server)) == 4
        else:
            assert len(handshakes(server)._silent) == 3 + extra
        for client in silent[1:]:
            assert not client.reader.at_eof()
        assert not talking.reader.at_eof()
        for client in silent:
            await client.close()
        await talking.close()
        await until(lambda: len(handshakes(server)) == 0)


async def test_of_those_that_have_spoken_the_oldest_goes() -> None:
    server = Echo("127.0.0.1", 0, ssl_context=authority().server())
    server._server.MAX_HANDSHAKES = 2  # type: ignore[misc]
    async with serving(server):
        peers = []
        for count in (1, 2, 2):
            peer = await Dialogue().connect(server.bind_address)
            await peer.send(peer.hello()[:20])
            peers.append(peer)
            await until(lambda count=count: len(handshakes(server)._talking) == count)
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionResetError):
            assert await peers[0].rest() == b""
        assert not peers[2].reader.at_eof()
        for peer in peers:
            await peer.close()


@pytest.mark.parametrize("ending", ["fin", "rst", "silence"])
async def test_a_cut_after_any_byte_of_the_handshake(ending: str) -> None:
    async with echo() as server, BadNet(server.bind_address) as net:
        server._server.HANDSHAKE_TIMEOUT = 0.2  # type: ignore[misc]
        net.up.ending = ending
        hello = len(Dialogue().hello())
        cuts = [1, 4, 5, 6, hello - 1, hello, hello + 1, hello + 30, hello + 79]
        for cut in cuts if ending != "silence" else [5, hello + 30]:  # a second each
            net.up.cut_after = cut
            async with await Dialogue().connect(net.address) as client:
                with contextlib.suppress(OSError, EOFError, asyncio.TimeoutError):
                    await asyncio.wait_for(client.shake_hands(), 0.3)
                await until(lambda: len(handshakes(server)) == 0)
        await still_served(server)


async def test_the_end_of_the_server_does_not_wait_for_handshakes() -> None:
    async with echo() as server:
        silent = await WireClient.connect(server.bind_address, greeting=0)
        talking = await Dialogue().connect(server.bind_address)
        await talking.send(talking.hello()[:100])
        await until(lambda: len(handshakes(server)._talking) == 1)
        await asyncio.wait_for(server.stop(), 5)
        for peer in (silent, talking):
            with contextlib.suppress(ConnectionResetError):
                assert await peer.rest() == b""
            await peer.close()


async def test_no_version_in_common(caplog: pytest.LogCaptureFixture) -> None:
    context = authority().server()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    client = authority().client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    async with echo(context) as server:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            await tls_client(server.bind_address, client)
        await until(lambda: len(handshakes(server)) == 0)
    assert [w.rpartition(": ")[2] for w in warnings(caplog)] == ["no version of TLS in common"]


async def test_a_server_without_a_certificate_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with echo(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await tls_client(server.bind_address)
        await until(lambda: len(handshakes(server)) == 0)
    assert warnings(caplog)[0].endswith("no cipher in common; has the server a certificate?")


async def test_a_hook_that_raises_harms_its_own_client_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with echo() as server:
        make = server._server.make_connection

        def broken() -> Any:
            server._server.make_connection = make  # type: ignore[method-assign]
            raise RuntimeError("out of luck")

        server._server.make_connection = broken  # type: ignore[method-assign]
        client = await Dialogue().connect(server.bind_address)
        await client.shake_hands()
        await client.rest()
        await client.close()
        await still_served(server)
    assert "out of luck" in caplog.text
    caplog.clear()


async def test_many_at_once_are_all_served() -> None:
    async with echo() as server:
        context = authority().client()
        clients = await asyncio.gather(
            *(tls_client(server.bind_address, context) for _ in range(150))
        )
        assert len(server._server.connections) == 150
        for answer in await asyncio.gather(*(c.ask(b"?watchdog[1]") for c in clients)):
            assert answer[-1] == b"!watchdog[1] ok"
        await asyncio.gather(*(client.close() for client in clients))


# -- the other way round ----------------------------------------------------------------------


async def test_tls_to_a_server_without(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Bare("127.0.0.1", 0)) as server:
        for hello in (Dialogue().hello(), b"\x16\x03\x01" + b"x" * 50, b"\x16\x03\x01x\n" * 5):
            client = await WireClient.connect(server.bind_address)
            await client.raw(hello)
            await client.close()
        await until(lambda: not server._server.connections)
        await still_serves(server)
    assert "speaks TLS, but this server does not" in caplog.text
    assert "Bad line from 127.0.0.1" in caplog.text


async def test_random_bytes_over_tls_are_as_bad_as_without() -> None:
    async with echo() as server:
        for _ in range(20):
            async with await tls_client(server.bind_address) as client:
                await client.raw(os.urandom(5000) + b"\n")
                await client.raw(b"?watchdog[77]\n")
                while await client.line() != b"!watchdog[77] ok":
                    pass
