"""``katcp-server proxy``: one server that shows many devices."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from katcp.apps._certificates import CertificateError, client_context
from katcp.apps.server._errors import MISUSE, StartError
from katcp.inspecting_client import check_strategy
from katcp.proxying import ProxiedDevice, ProxyError, ProxyServer, named_devices, read_proxy_file

_F = TypeVar("_F", bound=Callable[..., Any])

#: What the help of the command begins with.
PROXY_HELP = """Show other devices under one address, and be their only client.

Sensors of a device are called NAME.SENSOR, its requests ?NAME-REQUEST. Without a NAME it is called
by its host, or by host and port; =HOST:PORT shows it without a prefix. ?proxy-devices and the
sensors proxy.NAME.connected and so on tell how the proxy stands with a device.

PATTERNs are of names on the device: * and ? stand for any characters and any one, and /.../ is a
regular expression that is searched. The requests halt, restart, help, sensor-list, sensor-value,
version-list and request-timeout-hint of a device are passed on only if --requests has just that
name.
"""

#: Names of the parameters that the options become.
PROXY_OPTIONS = (
    "devices",
    "config",
    "sensors",
    "without_sensors",
    "requests",
    "without_requests",
    "strategy",
    "request_timeout",
    "device_tls",
    "device_tls_ca",
    "device_tls_cert",
    "device_tls_key",
    "device_tls_no_verify",
)
_PATTERNS = ("sensors", "without_sensors", "requests", "without_requests")


def _check_strategy(context: Any, parameter: Any, value: str | None) -> str | None:
    if value is not None:
        try:
            check_strategy(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def proxy_options(function: _F) -> _F:
    """Add the argument and the options to a command."""
    patterns = functools.partial(click.option, multiple=True, metavar="PATTERN")
    options = (
        click.argument("devices", nargs=-1, metavar="[[NAME=]HOST:PORT]..."),
        click.option(
            "--config",
            metavar="FILE",
            help="Devices, and what is to be shown of each, in YAML; read again on SIGHUP.",
        ),
        patterns("--sensors", help="Sensors to show; may be repeated.  [default: all]"),
        patterns("--without-sensors", help="Sensors to leave out."),
        patterns("--requests", help="Requests to pass on.  [default: see above]"),
        patterns("--without-requests", help="Requests to leave out."),
        click.option(
            "--strategy",
            metavar="STRATEGY",
            callback=_check_strategy,
            help="How devices are asked for readings, such as 'event-rate 0.1 60'; 'auto' has "
            "those passed on, too, that bring nothing new but their time.  [default: event]",
        ),
        click.option(
            "--request-timeout",
            type=click.FloatRange(min=0, min_open=True),
            help="How long a device may take for a request that it gives no longer hint for [s].  "
            "[default: 5]",
        ),
        click.option(
            "--device-tls",
            is_flag=True,
            help="Speak TLS with the devices; the other options of that kind mean it too.",
        ),
        click.option(
            "--device-tls-ca",
            metavar="FILE",
            help="Authorities whose certificates are believed (PEM).  [default: the system's]",
        ),
        click.option(
            "--device-tls-cert", metavar="FILE", help="Certificate of the proxy as a client (PEM)."
        ),
        click.option(
            "--device-tls-key",
            metavar="FILE",
            help="Key of that (PEM).  [default: in the same file]",
        ),
        click.option(
            "--device-tls-no-verify", is_flag=True, help="Take devices for what they say they are."
        ),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def proxy_class(options: Mapping[str, Any]) -> type[ProxyServer]:
    """Return the class of a proxy that shows what the options say.

    Parameters
    ----------
    options : mapping
        Values of the parameters `PROXY_OPTIONS`.

    Returns
    -------
    type
        Made as any other device, ``cls(host, port, **limits)``. Its instances have a method
        ``reload()`` that reads the file again.

    Raises
    ------
    StartError
        If they make no sense.
    """
    for_all = _for_all(options)
    devices = _devices_of(options, for_all)

    class Proxy(ProxyServer):
        """Shows what the command line says."""

        def __init__(self, host: str, port: int, **kwargs: Any) -> None:
            super().__init__(host, port, devices, **kwargs)

        def reload(self) -> None:
            """Read the file of devices again, and show what it says now.

            Raises
            ------
            StartError
                If something is wrong with it; nothing has changed then.
            """
            self.set_devices(_devices_of(options, for_all))

    return Proxy


def _for_all(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes of all devices."""
    for_all: dict[str, Any] = {
        name: options[name] for name in ("strategy", "request_timeout") if options[name] is not None
    }
    for_all |= {name: tuple(options[name]) for name in _PATTERNS if options[name]}
    client_options = _tls(options)
    if client_options:
        for_all["client_options"] = client_options
    return for_all


def _devices_of(options: Mapping[str, Any], for_all: Mapping[str, Any]) -> list[ProxiedDevice]:
    """Return the devices that the options mean."""
    try:
        given: Sequence[ProxiedDevice] = [
            ProxiedDevice.parse(text, **for_all) for text in options["devices"]
        ]
        if options["config"] is not None:
            found = read_proxy_file(options["config"])
            given = [*(_with_defaults(device, for_all) for device in found), *given]
        if not given:
            raise StartError("no devices: [NAME=]HOST:PORT is wanted, or --config", MISUSE)
        return named_devices(given)
    except ProxyError as error:
        raise StartError(str(error), MISUSE) from error


def _with_defaults(device: ProxiedDevice, for_all: Mapping[str, Any]) -> ProxiedDevice:
    """Return a device of the file; what that does not say, the command line does."""
    nothing = ProxiedDevice("-")
    missing = {
        name: value
        for name, value in for_all.items()
        if getattr(device, name) == getattr(nothing, name)
    }
    return dataclasses.replace(device, **missing)


def _tls(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what clients of the devices need for TLS; nothing if it is not wanted."""
    ca, certificate, key, no_verify = (
        options[f"device_tls_{name}"] for name in ("ca", "cert", "key", "no_verify")
    )
    if not (options["device_tls"] or ca or certificate or key or no_verify):
        return {}
    if key and not certificate:
        raise StartError("--device-tls-key is for use with --device-tls-cert", MISUSE)
    if ca and no_verify:
        raise StartError("--device-tls-ca and --device-tls-no-verify exclude each other", MISUSE)
    try:
        return {"ssl_context": client_context(ca, certificate, key, verify=not no_verify)}
    except CertificateError as error:
        raise StartError(str(error), MISUSE) from error
