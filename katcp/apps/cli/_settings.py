"""The options that every verb has, wherever on the command line they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import click

from katcp.apps.cli._asking import DEFAULT_TIMEOUT
from katcp.apps.cli._devices import NamedDevice, named_devices
from katcp.apps.cli._grammar import DEFAULT_HOST, DEFAULT_PORT, parse_address
from katcp.apps.cli._tls import TLS_OPTIONS, Tls, tls_of, tls_options

_F = TypeVar("_F", bound=Callable[..., Any])

#: Environment variable that names the device.
ADDRESS_VARIABLE = "KATCP_ADDRESS"


class Target(NamedTuple):
    """A device, and how to talk with it.

    Attributes
    ----------
    host : str
    port : int
    timeout : float or None
        How long to wait [s]; None: as the program sees fit.
    tls : Tls or None
        None: not by TLS.
    name : str
        What the user calls it; empty if by its address.
    """

    host: str
    port: int
    timeout: float | None = None
    tls: Tls | None = None
    name: str = ""


@dataclass(frozen=True)
class Settings:
    """What the options say, wherever they stood.

    Attributes
    ----------
    address : str or None
        As typed: an address, or a name of the user's file.
    timeout : float or None
        [s].
    json, verbose : bool
    tls, tls_ca, tls_cert, tls_key, tls_name, tls_no_verify
        See `tls_options`.
    """

    address: str | None = None
    timeout: float | None = None
    json: bool = False
    verbose: bool = False
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_name: str | None = None
    tls_no_verify: bool = False

    def with_options(self, **options: Any) -> Settings:
        """Return the settings with options that were given in addition."""
        return replace(self, **{name: value for name, value in options.items() if value})

    def where(self) -> tuple[str, int]:
        """Return (host, port) of the device."""
        if self.address is None:
            return DEFAULT_HOST, DEFAULT_PORT
        device = find_device(self.address)
        return parse_address(self.address if device is None else device.address)

    def target(self) -> Target:
        """Return the device, with what its entry in the user's file says of it.

        Raises
        ------
        Misuse
        """
        device = None if self.address is None else find_device(self.address)
        if device is None:
            return Target(*self.where(), self.timeout, self.how())
        wanted = self
        given = {name: getattr(self, name) for name in ("timeout", *TLS_OPTIONS)}
        for name, value in device.options.items():
            if not given[name]:
                wanted = replace(wanted, **{name: value})
        return Target(*parse_address(device.address), wanted.timeout, wanted.how(), device.name)

    def how(self) -> Tls | None:
        """Return how to speak TLS; None: not at all."""
        return tls_of({name: getattr(self, name) for name in TLS_OPTIONS})


def find_device(word: str) -> NamedDevice | None:
    """Return the device that the user calls so; None if it is for the parser of addresses.

    Raises
    ------
    Misuse
        If the file makes no sense.
    """
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", word) is None:
        return None
    return named_devices().get(word)


def common_options(function: _F, *, short: Sequence[str] = ()) -> _F:
    """Add the options that may stand before the verb as well as behind it.

    `short` are further names of ``--address``: not behind verbs, whose arguments may begin with
    a dash.
    """
    options = (
        click.option(
            "--address",
            *short,
            metavar="HOST:PORT",
            help="The device, or its name in devices.toml.  "
            f"[default: ${ADDRESS_VARIABLE}, else {DEFAULT_HOST}:{DEFAULT_PORT}]",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="How long to wait for the connection, and for each reply.  "
            f"[default: {DEFAULT_TIMEOUT:g}, or longer if the device says so]",
        ),
        click.option("--json", is_flag=True, help="Print one JSON object a line."),
        click.option("--verbose", is_flag=True, help="Tell more about the connection."),
    )
    function = tls_options(function)
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function
