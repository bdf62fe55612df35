"""Options of ``katcp-server`` for TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import click

from katcp.apps._certificates import CertificateError, server_context
from katcp.apps.server._errors import MISUSE, StartError

_F = TypeVar("_F", bound=Callable[..., Any])

#: Names of the parameters that the options become.
TLS_OPTIONS = ("tls_cert", "tls_key", "tls_client_ca")


def tls_options(function: _F) -> _F:
    """Add the options to a command."""
    options = (
        click.option(
            "--tls-cert",
            metavar="FILE",
            help="Speak TLS only, with this certificate (PEM, followed by those between it and its "
            "authority).",
        ),
        click.option(
            "--tls-key",
            metavar="FILE",
            help="Key of the certificate (PEM, without a password).  [default: in the same file]",
        ),
        click.option(
            "--tls-client-ca",
            metavar="FILE",
            help="Clients need a certificate of one of these authorities (PEM).",
        ),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def tls_context(
    tls_cert: str | None, tls_key: str | None, tls_client_ca: str | None
) -> ssl.SSLContext | None:
    """Return what the options stand for; None if none of them was given.

    Raises
    ------
    StartError
        If a file cannot be used, or they make no sense.
    """
    if tls_cert is None:
        for flag, given in (("--tls-key", tls_key), ("--tls-client-ca", tls_client_ca)):
            if given is not None:
                raise StartError(f"{flag} is for use with --tls-cert", MISUSE)
        return None
    try:
        return server_context(tls_cert, tls_key, tls_client_ca)
    except CertificateError as error:
        raise StartError(str(error)) from error
