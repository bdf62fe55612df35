"""Contexts of TLS, out of the files that a command line names."""

from __future__ import annotations

import os
import ssl
from typing import NoReturn


class CertificateError(Exception):
    """A file cannot be used; the text says which and why, in one line."""


class _PasswordWantedError(Exception):
    """OpenSSL asks for a password."""


def server_context(
    certificate: str, key: str | None = None, client_ca: str | None = None
) -> ssl.SSLContext:
    """Return the context of a server.

    Parameters
    ----------
    certificate : str
        File of the certificate, and of those between it and an authority (PEM).
    key : str, optional
        File of its key; by default the same file.
    client_ca : str, optional
        File of the authorities whose certificates clients must have; None: they need none.

    Raises
    ------
    CertificateError
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load_own(context, certificate, key)
    if client_ca is not None:
        _load_authorities(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    *,
    verify: bool = True,
) -> ssl.SSLContext:
    """Return the context of a client.

    Parameters
    ----------
    ca : str, optional
        File of the authorities that are believed; None: those that the system believes.
    certificate, key : str, optional
        As for `server_context`, of the client.
    verify : bool
        Whether the certificate of the server has to be right.

    Raises
    ------
    CertificateError
    """
    # With a file of authorities, the system's are not believed.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, ca)
    if certificate is not None:
        _load_own(context, certificate, key)
    return context


def _load_own(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    for path in (certificate, key or certificate):
        _look_at(path)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _PasswordWantedError:
        raise CertificateError(
            f"the key in {key or certificate} is protected by a password; "
            "'openssl pkey' takes it off"
        ) from None
    except ssl.SSLError as error:
        raise CertificateError(_own_trouble(error, certificate, key)) from error


def _own_trouble(error: ssl.SSLError, certificate: str, key: str | None) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key or certificate} is not that of the certificate in {certificate}"
    text = _content(certificate)
    if b"-----BEGIN CERTIFICATE-----" not in text and b"TRUSTED CERTIFICATE" not in text:
        return f"{certificate} has no certificate in it (PEM)"
    if b"PRIVATE KEY-----" not in _content(key or certificate):
        hint = "" if key else ", and no other file was named for it"
        return f"{key or certificate} has no key in it (PEM){hint}"
    return f"cannot use the certificate in {certificate}: {_reason(error)}"


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    _look_at(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        if b"-----BEGIN CERTIFICATE-----" not in _content(path):
            raise CertificateError(f"{path} has no certificate in it (PEM)") from error
        raise CertificateError(
            f"cannot use the certificates in {path}: {_reason(error)}"
        ) from error


def _look_at(path: str) -> None:
    """Find out whether a file can be read: OpenSSL does not say which one cannot."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CertificateError(f"cannot read {path}: {reason}") from error


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1_000_000)


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "malformed").lower().replace("_", " ")


def _no_password() -> NoReturn:
    raise _PasswordWantedError
