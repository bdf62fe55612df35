"""Options of ``katcp-cli`` for TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from katcp.apps._certificates import CertificateError, client_context
from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._escape import visible

_F = TypeVar("_F", bound=Callable[..., Any])

#: Names of the parameters that the options become.
TLS_OPTIONS = ("tls", "tls_ca", "tls_cert", "tls_key", "tls_name", "tls_no_verify")


class Tls(NamedTuple):
    """How to speak TLS with a device: with what, and whom its certificate must be for."""

    context: ssl.SSLContext
    name: str | None


def tls_options(function: _F) -> _F:
    """Add the options to a command."""
    options = (
        click.option("--tls", is_flag=True, help="Speak TLS; the other TLS options mean it too."),
        click.option(
            "--tls-ca",
            metavar="FILE",
            help="Authorities whose certificates are believed (PEM).  [default: the system's]",
        ),
        click.option("--tls-cert", metavar="FILE", help="Certificate of the user (PEM)."),
        click.option(
            "--tls-key", metavar="FILE", help="Key of that (PEM).  [default: in the same file]"
        ),
        click.option(
            "--tls-name",
            metavar="NAME",
            help="Whom the device's certificate must be for.  [default: the host]",
        ),
        click.option(
            "--tls-no-verify", is_flag=True, help="Take the device for what it says it is."
        ),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def tls_of(options: Mapping[str, Any]) -> Tls | None:
    """Return what the options stand for; None if none of them was given.

    Raises
    ------
    Misuse
        If a file cannot be used, or they make no sense.
    """
    _, ca, certificate, key, name, no_verify = (options[option] for option in TLS_OPTIONS)
    if not any(options.values()):
        return None
    if key and not certificate:
        raise Misuse("--tls-key is for use with --tls-cert")
    if ca and no_verify:
        raise Misuse("--tls-ca and --tls-no-verify exclude each other")
    try:
        return Tls(client_context(ca, certificate, key, verify=not no_verify), name)
    except CertificateError as error:
        raise Misuse(visible(str(error))) from error
