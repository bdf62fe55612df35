"""Options of ``katcp-server`` for limits, and for who may come in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from katcp.apps.server._errors import MISUSE, StartError
from katcp.server import DeviceServerBase

log = logging.getLogger("katcp.apps.server")

_F = TypeVar("_F", bound=Callable[..., Any])

#: Clients at once, unless the device or the user says otherwise: enough for the control system of
#: an observatory that comes back all at once, and 10 MB while they do nothing.
MAX_CLIENTS = 4096
#: How many of them are kept for this computer.
RESERVED_CLIENTS = 8
#: Clients of one address, where other computers can connect. Where they cannot, all clients have
#: the same address.
MAX_CLIENTS_PER_ADDRESS = 256

_size = click.IntRange(min=1)
_time = click.FloatRange(min=0)
_span = click.FloatRange(min=0, min_open=True)

#: Parameter -> type and help of the option for it; they go to the device's constructor.
_OPTIONS: dict[str, tuple[Any, str]] = {
    "max_clients": (_size, f"Clients at once.  [default: {MAX_CLIENTS}]"),
    "max_clients_per_address": (
        _size,
        f"Clients of one address.  [default: {MAX_CLIENTS_PER_ADDRESS} where other computers can "
        "connect, else no limit]",
    ),
    "reserved_clients": (
        click.IntRange(0, 1000),
        "How many of --max-clients are kept for clients of this computer.  "
        f"[default: {RESERVED_CLIENTS}, or 0 with --max-clients]",
    ),
    "max_requests": (_size, "Requests under way in all.  [default: 5000]"),
    "max_requests_per_client": (_size, "Requests under way of one client.  [default: 100]"),
    "max_subscriptions": (_size, "Sensors that a client may sample.  [default: no limit]"),
    "max_line": (_size, "Longest line [bytes].  [default: 2 MiB]"),
    "max_arguments": (_size, "Most arguments of a message.  [default: 65536]"),
    "max_name": (_size, "Longest name of an unknown request [bytes].  [default: 1024]"),
    "max_complaints": (
        click.IntRange(min=0),
        "Bad lines a second that a client is told of.  [default: 100]",
    ),
    "max_backlog": (_size, "Unsent output of a client [bytes].  [default: 8 MiB]"),
    "stall_timeout": (
        _time,
        "How long a client may take nothing of its output [s].  [default: 30]",
    ),
    "idle_timeout": (_span, "How long a client may send nothing [s].  [default: for ever]"),
    "keepalive": (
        (_size, _size, _size),
        "TCP's probes of silent clients: after how long, how often [s], and how many in vain.  "
        "[default: 30 10 3]",
    ),
    "coalesce": (_time, "How long sensor updates may wait for company [s].  [default: 0.001]"),
    "period_floor": (_time, "Shortest sampling period [s].  [default: 0.001]"),
    "handler_threads": (_size, "Threads for handlers that block.  [default: 8]"),
    "lag_warning": (
        _time,
        "The log tells of handlers that keep others waiting for longer [s]; 0: never.  "
        "[default: 1]",
    ),
    "statistics_period": (
        _span,
        "Have sensors server.* of clients, refusals and so on, renewed so often [s].",
    ),
}

LIMITS = tuple(_OPTIONS)


def limit_options(function: _F) -> _F:
    """Add the options to a command."""
    options = [
        click.option(
            "--allow",
            multiple=True,
            metavar="NETWORK",
            help="Address or network that clients may come from, as 10.1.2.3 or 10.1.0.0/16; may "
            "be given several times.  [default: any]",
        ),
        click.option(
            "--remote-halt/--no-remote-halt",
            default=True,
            help="Whether clients may end and restart the device (?halt, ?restart).",
        ),
    ]
    for name, (kind, text) in _OPTIONS.items():
        options.append(click.option(f"--{name.replace('_', '-')}", type=kind, help=text))
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def take_limits(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options that were given for limits out of `options`, as keyword arguments."""
    given = {name: value for name in LIMITS if (value := options.pop(name)) is not None}
    if given.get("lag_warning") == 0:
        given["lag_warning"] = None
    return given


def guard(device: DeviceServerBase, allow: Sequence[str], remote_halt: bool) -> None:
    """Do as the options say that go to no constructor; before the device is started.

    Raises
    ------
    StartError
        If `allow` has an entry that is neither an address nor a network.
    """
    if allow:
        try:
            device.katcp_allow(allow)
        except ValueError as error:
            raise StartError(f"--allow: {error}", MISUSE) from error
    if not remote_halt:
        device.katcp_withdraw_halt()
    device.katcp_default_places(MAX_CLIENTS, RESERVED_CLIENTS)


def look_outside(device: DeviceServerBase) -> None:
    """Where other computers can connect, log a warning if nothing keeps them from doing anything.

    Once the device is started.
    """
    if not device.katcp_is_exposed:
        return
    device.katcp_default_places(max_clients_per_address=MAX_CLIENTS_PER_ADDRESS)
    if not device.katcp_is_guarded:
        log.warning(
            "Other computers can connect, and everybody who does may do everything; "
            "see --allow and --tls-client-ca, or use the default --host"
        )
