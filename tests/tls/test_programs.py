"""``katcp-server`` and ``katcp-cli`` over TLS, as processes."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.certificates import authority, other_authority
from tests.system.programs import CLI, PATIENCE, Served, cli, environment, serve, server

pytestmark = pytest.mark.slow

OLD_STYLE = """
from katcp.server import DeviceServer

class Old(DeviceServer):
    def __init__(self, host, port):
        super().__init__(host, port)
    def setup_sensors(self):
        pass
"""


class Files:
    """Certificates on disk."""

    def __init__(self, place: Path) -> None:
        self.cert, self.key, self.ca = authority().write(place / "device")
        self.own_cert, self.own_key, _ = authority().write(place / "user", "me@example.org")
        self.other_cert, self.other_key, self.other_ca = other_authority().write(place / "other")
        self.old_cert, self.old_key, _ = authority().write(place / "expired", expired=True)
        self.both = str(place / "both.pem")
        Path(self.both).write_text(Path(self.cert).read_text() + Path(self.key).read_text())
        self.junk = str(place / "junk.pem")
        Path(self.junk).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.empty = str(place / "empty.pem")
        Path(self.empty).touch()
        self.locked = str(place / "locked.pem")
        self.missing = str(place / "missing.pem")
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(Path(self.key).read_bytes(), None)
        Path(self.locked).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def device(files: Files) -> Iterator[Served]:
    with serve("demo", "--tls-cert", files.cert, "--tls-key", files.key) as served:
        yield served
        assert served.end() == 0


@pytest.fixture(scope="module")
def members(files: Files) -> Iterator[Served]:
    with serve("demo", "--tls-cert", files.both, "--tls-client-ca", files.ca) as served:
        yield served
        assert served.end() == 0


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


# -- the server -----------------------------------------------------------------------------


def test_a_socket_is_greeted_and_told_of_the_end(files: Files) -> None:
    context = ssl.create_default_context(cafile=files.ca)
    with serve("demo", "--tls-cert", files.cert, "--tls-key", files.key) as served:
        with (
            socket.create_connection((served.host, served.port), PATIENCE) as plain,
            context.wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            ) as sock,
            sock.makefile("rb") as lines,
        ):
            assert lines.readline().startswith(b"#version-connect katcp-protocol 5.")
            for _ in range(2):
                lines.readline()
            silent = socket.create_connection((served.host, served.port), PATIENCE)
            assert served.end() == 0
            assert lines.read() == b"#disconnect Device\\_server\\_shutting\\_down.\n"
            silent.close()
        assert served.errors() == ""


def test_a_class_that_knows_nothing_of_it(files: Files, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(OLD_STYLE)
    with serve("old.py:Old", "--tls-cert", files.both, cwd=tmp_path) as served:
        result = cli(served.address, "--tls-ca", files.ca, "call", "watchdog")
        assert (result.returncode, result.stdout) == (0, "!watchdog ok\n")
        assert served.end() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ("--tls-key {key}", 2, "--tls-key is for use with --tls-cert"),
        ("--tls-client-ca {ca}", 2, "--tls-client-ca is for use with --tls-cert"),
        ("--tls-cert {missing}", 1, "cannot read {missing}: No such file or directory"),
        ("--tls-cert {cert} --tls-key {missing}", 1, "cannot read {missing}: No such file"),
        ("--tls-cert {cert}", 1, "{cert} has no key in it (PEM), and no other file was named"),
        ("--tls-cert {cert} --tls-key {ca}", 1, "{ca} has no key in it (PEM)"),
        ("--tls-cert {key}", 1, "{key} has no certificate in it (PEM)"),
        ("--tls-cert {empty}", 1, "{empty} has no certificate in it (PEM)"),
        ("--tls-cert {junk} --tls-key {key}", 1, "cannot use the certificate in {junk}: "),
        ("--tls-cert {cert} --tls-key {own_key}", 1, "the key in {own_key} is not that of the"),
        ("--tls-cert {cert} --tls-key {locked}", 1, "the key in {locked} is protected by a pass"),
        ("--tls-cert {both} --tls-client-ca {key}", 1, "{key} has no certificate in it (PEM)"),
        ("--tls-cert {both} --tls-client-ca {junk}", 1, "cannot use the certificates in {junk}: "),
        ("--tls-cert {both} --tls-client-ca {missing}", 1, "cannot read {missing}: No such file"),
    ],
)
def test_files_that_cannot_be_used(files: Files, arguments: str, status: int, text: str) -> None:
    result = server("--port", "0", *arguments.format(**vars(files)).split())
    assert result.returncode == status
    assert one_line(result).startswith("katcp-server: " + text.format(**vars(files)))


# -- the shell and the verbs ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        "{address} --tls --tls-ca {ca} get pump.controller",
        "{address} get --tls-ca {ca} pump.controller",
        "--tls-ca {ca} {address} get pump.controller --tls-name localhost",
        "{address} --tls-no-verify get pump.controller",
        "{address} --tls-no-verify --tls-name anything get pump.controller",
    ],
)
def test_a_verb(device: Served, files: Files, arguments: str) -> None:
    words = arguments.format(address=device.address, **vars(files)).split()
    result = cli(*words)
    assert result.stderr == ""
    assert result.stdout.startswith("pump.controller ")
    assert result.returncode == 0


def test_the_systems_authorities_are_the_default(device: Served, files: Files) -> None:
    result = cli(device.address, "--tls", "get", "pump.on", SSL_CERT_FILE=files.ca)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_script(device: Served, files: Files) -> None:
    result = cli(device.address, "--tls-ca", files.ca, stdin="watchdog\nget pump.on\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("!watchdog ok\npump.on ")


def test_a_user_with_a_certificate(members: Served, files: Files) -> None:
    own = ("--tls-ca", files.ca, "--tls-cert", files.own_cert, "--tls-key", files.own_key)
    result = cli(members.address, *own, "call", "watchdog")
    assert (result.returncode, result.stdout) == (0, "!watchdog ok\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--tls-ca {ca}", "the other end has refused (certificate required)"),
        (
            "--tls-ca {ca} --tls-cert {other_cert} --tls-key {other_key}",
            "the other end has refused (unknown ca)",
        ),
        (
            "--tls-ca {ca} --tls-cert {old_cert} --tls-key {old_key}",
            "the other end has refused (certificate expired)",
        ),
    ],
)
def test_a_user_who_is_not_let_in(members: Served, files: Files, arguments: str, text: str) -> None:
    result = cli(members.address, *arguments.format(**vars(files)).split(), "get", "pump.on")
    assert result.returncode == 3
    assert one_line(result) == f"katcp-cli: cannot connect to {members.address}: {text}"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--tls-ca {other_ca}", "the certificate is not accepted ("),
        ("--tls", "the certificate is not accepted (unable to get local issuer certificate)"),
        (
            "--tls-ca {ca} --tls-name dish2",
            "the certificate is not accepted (Hostname mismatch, certificate is not valid for "
            "'dish2')",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["get pump.on", ""])
def test_a_device_that_is_not_believed(
    device: Served, files: Files, arguments: str, text: str, verb: str
) -> None:
    words = arguments.format(**vars(files)).split()
    result = cli(device.address, *words, *verb.split(), stdin="watchdog\n")
    assert result.returncode == 3
    assert one_line(result).startswith(f"katcp-cli: cannot connect to {device.address}: {text}")


def test_a_device_whose_certificate_has_expired(files: Files) -> None:
    with serve("demo", "--tls-cert", files.old_cert, "--tls-key", files.old_key) as served:
        result = cli(served.address, "--tls-ca", files.ca, "get", "pump.on")
        assert result.returncode == 3
        assert one_line(result).endswith("not accepted (certificate has expired)")
        served.end()


def test_a_device_without_tls(files: Files) -> None:
    with serve("demo") as served:
        result = cli(served.address, "--tls", "get", "pump.on")
        assert result.returncode == 3
        expected = f"katcp-cli: cannot connect to {served.address}: it does not speak TLS"
        assert one_line(result) == expected
        assert cli(served.address, "get", "pump.on").returncode == 0
        served.end()


def test_a_user_without_tls(device: Served) -> None:
    result = cli(device.address, "call", "watchdog")
    assert result.returncode == 3
    assert one_line(result).endswith("lost: This server is to be talked to over TLS.")


def test_a_port_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = cli(f"127.0.0.1:{port}", "--tls", "--timeout", "0.3", "get", "pump.on")
        assert result.returncode == 3
        assert one_line(result) == f"katcp-cli: cannot connect to 127.0.0.1:{port}: timed out"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--tls-key {own_key}", "--tls-key is for use with --tls-cert"),
        ("--tls-no-verify --tls-ca {ca}", "--tls-ca and --tls-no-verify exclude each other"),
        ("--tls-ca {missing}", "cannot read {missing}: No such file or directory"),
        ("--tls-ca {key}", "{key} has no certificate in it (PEM)"),
        ("--tls-cert {own_cert}", "{own_cert} has no key in it (PEM), and no other file was"),
        ("--tls-cert {cert} --tls-key {locked}", "the key in {locked} is protected by a passw"),
    ],
)
@pytest.mark.parametrize("verb", ["get pump.on", ""])
def test_misuse(files: Files, arguments: str, text: str, verb: str) -> None:
    words = arguments.format(**vars(files)).split()
    result = cli("127.0.0.1:1", *words, *verb.split())
    assert result.returncode == 2
    assert one_line(result).startswith("katcp-cli: " + text.format(**vars(files)))


def test_the_end_of_the_device_is_told_to_who_watches(files: Files) -> None:
    with (
        serve("demo", "--tls-cert", files.both) as served,
        subprocess.Popen(
            [*CLI, served.address, "--tls-ca", files.ca, "watch", "pump.*"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as watching,
    ):
        assert watching.stdout is not None
        assert watching.stdout.readline()
        assert served.end() == 0
        _, errors = watching.communicate(timeout=PATIENCE)
        assert "lost" in errors
        assert watching.returncode == 3
