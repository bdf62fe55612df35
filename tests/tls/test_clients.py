"""All clients of the package over TLS: what works without works with it, and how it fails."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
import weakref
from typing import Any

import pytest

from katcp import Message, Sensor
from katcp.client import AsyncClient, BlockingClient, CallbackClient, DeviceClient
from katcp.errors import KatcpClientError
from katcp.inspecting_client import InspectingClientAsync
from katcp.mirroring import SensorMirror
from katcp.resource_client import KATCPClientResource, KATCPClientResourceContainer
from katcp.transport import TlsError
from tests.helpers.badnet import BadNet
from tests.helpers.certificates import authority, other_authority
from tests.helpers.inspecting import Told
from tests.helpers.serving import Bare, BareThreaded, serving, serving_in_thread, until
from tests.tls.test_server import echo, handshakes


def started(client: Any) -> Any:
    client.set_ioloop()
    client.start()
    return client


async def ended(client: Any) -> None:
    client.stop()
    await client.until_stopped(5)


def messages(
    caplog: pytest.LogCaptureFixture, name: str, level: int = logging.WARNING
) -> list[str]:
    found = [r for r in caplog.records if r.name == name and r.levelno == level]
    return [record.getMessage() for record in found]


class Many(Bare):
    """Has many sensors."""

    def __init__(self, port: int = 0, count: int = 5000) -> None:
        self._count = count
        super().__init__("127.0.0.1", port, ssl_context=authority().server())

    def setup_sensors(self) -> None:
        for i in range(self._count):
            self.add_sensor(Sensor.integer(f"unit.{i:05d}", "A counter."))


# -- what works -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 20_000, 1_000_000])
async def test_requests(size: int) -> None:
    async with echo() as server:
        client = started(AsyncClient(*server.bind_address, ssl_context=authority().client()))
        await client.until_protocol(5)
        text = "x" * size
        reply, _ = await client.future_request(Message.request("echo", text), 10)
        assert reply.arguments == [b"ok", text.encode()]
        assert client._stream.peer_certificate["version"] == 3
        await ended(client)


async def test_many_requests_at_once() -> None:
    async with echo() as server:
        client = started(AsyncClient(*server.bind_address, ssl_context=authority().client()))
        await client.until_protocol(5)
        requests = [client.future_request(Message.request("echo", i)) for i in range(2000)]
        for i, (reply, _) in enumerate(await asyncio.gather(*requests)):
            assert reply.arguments == [b"ok", b"%d" % i]
        await ended(client)


async def test_a_plain_device_client() -> None:
    heard: list[Message] = []

    class Client(DeviceClient):
        def reply_echo(self, msg: Message) -> None:
            """Take it."""
            heard.append(msg)

    async with echo() as server:
        client = started(Client(*server.bind_address, ssl_context=authority().client()))
        await client.until_protocol(5)
        client.request(Message.request("echo", "a"))
        await until(lambda: heard)
        assert heard[0].arguments == [b"ok", b"a"]
        await ended(client)


@pytest.mark.parametrize("kind", [CallbackClient, BlockingClient])
def test_threads_share_a_client(kind: Any) -> None:
    class Device(BareThreaded):
        def request_echo(self, req: Any, text: str) -> str:
            """Repeat."""
            return text

    with serving_in_thread(Device("127.0.0.1", 0, ssl_context=authority().server())) as server:
        client = kind(*server.bind_address, ssl_context=authority().client())
        client.start(5)
        assert client.wait_protocol(5)
        wrong: list[Any] = []

        def ask(number: int) -> None:
            for i in range(50):
                text = f"{number}-{i}"
                reply, _ = client.blocking_request(Message.request("echo", text), timeout=10)
                if reply.arguments != [b"ok", text.encode()]:
                    wrong.append(reply)

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        client.stop()
        client.join(5)


@pytest.mark.slow
async def test_thousands_of_sensors_are_learned_and_sampled() -> None:
    async with serving(Many()) as server:
        context = authority().client()
        async with InspectingClientAsync(
            *server.bind_address, ssl_context=context, timeout=30
        ) as client:
            assert len(client.sensors) == 5000
            names = ",".join(sorted(client.sensors))
            seen: dict[bytes, bytes] = {}

            def take(arguments: list[bytes]) -> None:
                for at in range(2, len(arguments), 3):
                    seen[arguments[at]] = arguments[at + 2]

            client.katcp_client.hook_wire_inform("sensor-status", take)
            reply, _ = await client.simple_request("sensor-sampling", names, "event", timeout=20)
            assert reply.reply_ok()
            assert len(seen) == 5000
            for sensor in server.get_sensors():
                sensor.set_value(7)
            await until(lambda: list(seen.values()).count(b"7") == 5000)


async def test_a_client_comes_back_to_a_server_that_was_restarted() -> None:
    server = Many(count=20)
    server.start(timeout=5)
    host, port = server.bind_address
    told = Told()
    client = InspectingClientAsync(host, port, ssl_context=authority().client())
    client.katcp_client.auto_reconnect_delay = 0.02
    client.set_state_callback(told)
    client.connect()
    try:
        await client.until_synced(10)
        await server.stop()
        await client.until_not_synced(5)
        assert client.katcp_client.disconnect_reason == "Device server shutting down."
        server = Many(port, count=30)
        server.start(timeout=5)
        await client.until_synced(10)
        assert len(client.sensors) == 30
    finally:
        await client.stop()
        await server.stop()


async def test_resources_and_containers() -> None:
    async with serving(Many(count=3)) as one, serving(Many(count=4)) as other:
        container = KATCPClientResourceContainer(
            {
                "name": "all",
                "ssl_context": authority().client(),
                "clients": {
                    "one": {"address": one.bind_address, "controlled": True},
                    "other": {
                        "address": other.bind_address,
                        "server_hostname": "localhost",
                        "ssl_context": authority().client(),
                    },
                },
            }
        )
        container.start()
        await container.until_synced(10)
        assert len(container.sensor) == 7
        assert (await container.req.one_watchdog()).succeeded
        container.stop()
        await container.until_stopped(5)
        single = KATCPClientResource(
            {"name": "x", "address": one.bind_address, "ssl_context": authority().client()}
        )
        single.start()
        await single.until_synced(10)
        single.stop()
        await single.until_stopped(5)


async def test_a_mirror() -> None:
    async with serving(Many(count=3)) as device:
        server = Bare("127.0.0.1", 0)
        mirror = SensorMirror(
            server, *device.bind_address, "far.", ssl_context=authority().client()
        )
        async with serving(server):
            await mirror.until_synced(10)
            assert sorted(s.name for s in server.get_sensors()) == [
                f"far.unit.{i:05d}" for i in range(3)
            ]


async def test_a_client_with_a_certificate_comes_in() -> None:
    async with echo(authority().server_for_members()) as server:
        context = authority().client("me@example.org")
        async with InspectingClientAsync(*server.bind_address, ssl_context=context, timeout=10):
            (connection,) = server._server.connections
            assert connection.peer_certificate["subjectAltName"] == (("email", "me@example.org"),)


async def test_another_name_may_be_expected() -> None:
    async with echo(authority().server("dish7.example")) as server:
        context = authority().client()
        async with InspectingClientAsync(
            *server.bind_address, ssl_context=context, server_hostname="dish7.example", timeout=10
        ) as client:
            assert client.synced


async def test_any_name_is_right_for_who_verifies_nothing() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with echo(other_authority().server("elsewhere")) as server:
        client = started(AsyncClient(*server.bind_address, ssl_context=context))
        await client.until_protocol(5)
        assert client._stream.peer_certificate is None  # not verified, so it says nothing
        await ended(client)


# -- what does not ----------------------------------------------------------------------------


def test_what_is_no_context_is_refused() -> None:
    with pytest.raises(TypeError, match=r"ssl_context is an ssl\.SSLContext"):
        AsyncClient("localhost", 1, ssl_context=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not for a client"):
        InspectingClientAsync("localhost", 1, ssl_context=authority().server())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("unknown authority", "certificate is not accepted (unable to get local issuer"),
        ("other host", "Hostname mismatch, certificate is not valid for 'dish2.example'"),
        ("other address", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("expired", "the certificate is not accepted (certificate has expired)"),
        ("bad name", "it does not speak TLS"),
    ],
)
async def test_a_certificate_that_is_not_right(
    kind: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    context, name, client_context = {
        "unknown authority": (other_authority().server(), None, authority().client()),
        "other host": (authority().server(), "dish2.example", authority().client()),
        "other address": (authority().server("dish1.example"), None, authority().client()),
        "expired": (authority().server(expired=True), None, authority().client()),
        "bad name": (authority().server(), "." * 300, authority().client()),
    }[kind]
    async with echo(context) as server:
        client = AsyncClient(
            *server.bind_address,
            ssl_context=client_context,
            server_hostname=name,
            auto_reconnect=False,
        )
        started(client)
        with pytest.raises(KatcpClientError, match="given up"):
            await client.until_connected(5)
        await client.until_stopped(5)
        (warning,) = messages(caplog, "katcp.client")
        assert warning.startswith(f"Cannot connect to {client.bind_address_string}: ")
        if kind != "bad name":
            assert text in warning
            assert text in str(client.disconnect_reason)
        assert not server._server.connections
        await until(lambda: len(handshakes(server)) == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_device_that_refuses_the_client_is_tried_again_in_time(
    version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    context = authority().client()
    context.maximum_version = version
    told = Told()
    async with echo(authority().server_for_members()) as server:
        client = InspectingClientAsync(*server.bind_address, ssl_context=context)
        lower = client.katcp_client
        lower.auto_reconnect_delay = 0.01
        attempts = 0
        connect = lower.open_transport

        async def count(protocol: Any) -> None:
            nonlocal attempts
            attempts += 1
            await connect(protocol)

        lower.open_transport = count  # type: ignore[method-assign]
        client.set_state_callback(told)
        client.connect()
        await until(lambda: attempts >= 15)
        # Each counts as one that came to nothing, so that they come less often in the end.
        assert lower._attempts >= attempts - 2
        assert not client.synced
        # With 1.3 it is refused a moment after the connection was made.
        await until(lambda: lower.disconnect_reason is not None)
        assert lower.disconnect_reason.startswith("the other end has refused (")
        # Once an outage.
        assert len(messages(caplog, lower._logger.name)) == 1
        # The certificate is there at last.
        client.katcp_client.use_tls(authority().client("me@example.org"))
        lower.auto_reconnect_delay = 0.001
        await client.until_synced(10)
        assert lower._attempts == 0
        await client.stop()


async def test_a_device_that_does_not_speak_tls(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        client = AsyncClient(
            *server.bind_address, ssl_context=authority().client(), auto_reconnect=False
        )
        started(client)
        with pytest.raises(KatcpClientError):
            await client.until_connected(5)
        await client.until_stopped(5)
        assert client.disconnect_reason == "it does not speak TLS"
        await until(lambda: not server._server.connections)


async def test_a_device_that_says_nothing() -> None:
    async def sit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(sit, "127.0.0.1", 0)
    async with listener:
        address = listener.sockets[0].getsockname()
        client = AsyncClient(*address, ssl_context=authority().client(), auto_reconnect=False)
        client.HANDSHAKE_TIMEOUT = 0.2
        started(client)
        with pytest.raises(KatcpClientError):
            await client.until_connected(5)
        await client.until_stopped(5)
        assert client.disconnect_reason == "no handshake within 0.2 s"


async def test_stopping_in_the_middle_of_a_handshake() -> None:
    gone = asyncio.Event()

    async def sit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionError:
            pass
        writer.close()
        gone.set()

    listener = await asyncio.start_server(sit, "127.0.0.1", 0)
    async with listener:
        client = AsyncClient(*listener.sockets[0].getsockname(), ssl_context=authority().client())
        started(client)
        await asyncio.sleep(0.05)
        await ended(client)
        await asyncio.wait_for(gone.wait(), 5)


def test_stopping_a_thread_in_the_middle_of_a_handshake() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = BlockingClient(*listener.getsockname(), ssl_context=authority().client())
        client.start(5)
        peer, _ = listener.accept()
        with peer:
            client.stop()
            client.join(5)
            assert not client.running()


async def test_a_client_without_tls_learns_why() -> None:
    async with echo() as server:
        client = AsyncClient(*server.bind_address, auto_reconnect=False, greeting_timeout=0.01)
        started(client)
        await client.until_protocol(5)
        reply, _ = await client.future_request(Message.request("watchdog"), 5)
        assert not reply.reply_ok()
        await client.until_stopped(5)
        assert client.disconnect_reason == "This server is to be talked to over TLS."


async def test_a_client_that_was_stopped_is_not_held() -> None:
    async with echo() as server:
        client = started(AsyncClient(*server.bind_address, ssl_context=authority().client()))
        await client.until_protocol(5)
        link = weakref.ref(client._stream.transport)
        held = weakref.ref(client)
        await ended(client)
        del client
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        assert held() is None
        assert link() is None
        await until(lambda: not server._server.connections)


async def test_cuts_at_any_byte_and_the_client_is_synced_in_the_end() -> None:
    async with serving(Many(count=50)) as server, BadNet(server.bind_address) as net:
        client = InspectingClientAsync(net.host, net.port, ssl_context=authority().client())
        client.katcp_client.auto_reconnect_delay = 0.002
        client.connect()
        try:
            for cut in [1, 3, 200, 900, 1500, 2000, 2500, 4000, 8000]:
                for ending in ("rst", "fin"):
                    net.down.ending = net.up.ending = ending
                    net.down.cut_after = cut
                    net.cut()
                    await asyncio.sleep(0.03)
            net.down.cut_after = None
            net.cut()
            await client.until_not_synced(5)
            await client.until_synced(10)
            assert len(client.sensors) == 50
        finally:
            await client.stop()


def test_the_error_is_one_of_connecting() -> None:
    assert issubclass(TlsError, ConnectionError)
