"""Other implementations of TLS as the other end: the standard library's two, and OpenSSL's tool."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcp import Message
from katcp.client import AsyncClient
from tests.helpers.certificates import authority
from tests.helpers.serving import BareThreaded, serving_in_thread
from tests.tls.test_server import echo

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")

GREETING = [b"#version-connect", b"#version-connect", b"#version-connect"]


class Threaded(BareThreaded):
    """Repeats what it is told."""

    def request_echo(self, req: Any, text: bytes) -> bytes:
        """Repeat."""
        return text


@pytest.fixture
def server() -> Iterator[Threaded]:
    device = Threaded("127.0.0.1", 0, ssl_context=authority().server())
    with serving_in_thread(device) as running:
        yield running


def test_a_socket_of_the_standard_library(server: Threaded) -> None:
    with (
        socket.create_connection(server.bind_address, 10) as plain,
        authority()
        .client()
        .wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as sock,
        sock.makefile("rb") as file,
    ):
        assert [file.readline().split()[0] for _ in range(3)] == GREETING
        text = b"x" * 300_000
        sock.sendall(b"?echo[1] " + text + b"\n")
        assert file.readline() == b"!echo[1] ok " + text + b"\n"
        server.stop().result(10)
        assert file.readline().startswith(b"#disconnect ")
        assert file.read() == b""  # a goodbye, or this would raise


def test_a_goodbye_is_answered(server: Threaded) -> None:
    with (
        socket.create_connection(server.bind_address, 10) as plain,
        authority().client().wrap_socket(plain, server_hostname="localhost") as sock,
        sock.makefile("rb") as file,
    ):
        for _ in range(3):
            file.readline()
        sock.sendall(b"".join(b"?echo[%d] x\n" % i for i in range(1, 101)))
        for i in range(1, 101):
            assert file.readline() == b"!echo[%d] ok x\n" % i
        sock.unwrap()  # returns when the server has said goodbye


async def test_the_streams_of_asyncio_as_client() -> None:
    async with echo() as device:
        reader, writer = await asyncio.open_connection(
            *device.bind_address, ssl=authority().client(), server_hostname="localhost"
        )
        for _ in range(3):
            assert (await reader.readline()).startswith(b"#version-connect ")
        writer.write(b"?echo[1] hello\n")
        assert await reader.readline() == b"!echo[1] ok hello\n"
        writer.close()
        await writer.wait_closed()


async def test_the_streams_of_asyncio_as_device() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"#version-connect katcp-protocol 5.0-IM\n")
        while line := await reader.readline():
            writer.write(line.replace(b"?", b"!").strip() + b" ok\n")
        writer.close()

    listener = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=authority().server())
    async with listener:
        client = AsyncClient(*listener.sockets[0].getsockname(), ssl_context=authority().client())
        client.set_ioloop()
        client.start()
        await client.until_protocol(5)
        for _ in range(100):
            reply, _ = await client.future_request(Message.request("anything"), 5)
            assert reply.reply_ok()
        client.stop()
        await client.until_stopped(5)
        await asyncio.sleep(0.02)  # the streams of asyncio take a while to be closed


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_s_client(server: Threaded, version: str, tmp_path: Path) -> None:
    _, _, ca = authority().write(tmp_path)
    host, port = server.bind_address
    with subprocess.Popen(
        f"openssl s_client -connect {host}:{port} -CAfile {ca} {version} -quiet"
        " -verify_return_error -verify_hostname localhost".split(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert [process.stdout.readline().split()[0] for _ in range(3)] == GREETING
        text = b"x" * 100_000
        process.stdin.write(b"?echo[1] " + text + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"!echo[1] ok " + text + b"\n"
        server.stop().result(10)
        assert process.stdout.readline().startswith(b"#disconnect ")
        assert process.stdout.read() == b""
        process.wait(10)


@needs_openssl
def test_openssl_s_client_that_negotiates_anew(server: Threaded, tmp_path: Path) -> None:
    # With TLS 1.2 the client may ask for that; it is refused or done, and nobody is harmed.
    _, _, ca = authority().write(tmp_path)
    host, port = server.bind_address
    with subprocess.Popen(
        f"openssl s_client -connect {host}:{port} -CAfile {ca} -tls1_2".split(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while not process.stdout.readline().startswith(b"#version-connect katcp-device"):
            pass
        process.stdin.write(b"R\n")
        process.stdin.flush()
        line = b"-"
        while line and not line.startswith(b"RENEGOTIATING"):
            line = process.stdout.readline()
        process.stdin.close()
        process.stdout.read()
        process.wait(10)
    with (
        socket.create_connection(server.bind_address, 10) as plain,
        authority().client().wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        assert sock.recv(16) == b"#version-connect"


@needs_openssl
async def test_openssl_s_server(tmp_path: Path) -> None:
    certificate, key, _ = authority().write(tmp_path)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate),
        *("-key", key, "-quiet", "-naccept", "1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    client = AsyncClient("127.0.0.1", port, ssl_context=authority().client())
    client.auto_reconnect_delay = 0.05
    client.set_ioloop()
    client.start()
    try:
        await client.until_connected(10)
        process.stdin.write(b"#version-connect katcp-protocol 5.0-IM\n")
        await client.until_protocol(5)
        asked = client.future_request(Message.request("add", 1, 2), 5)
        assert await asyncio.wait_for(process.stdout.readline(), 5) == b"?add[1] 1 2\n"
        process.stdin.write(b"!add[1] ok 3\n")
        reply, _ = await asked
        assert reply.arguments == [b"ok", b"3"]
        assert isinstance(client._stream.transport.get_extra_info("ssl_object"), ssl.SSLObject)
    finally:
        client.stop()
        await client.until_stopped(5)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 10)
