"""The options that all ways of serving have, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from katcp.apps.server._http import HTTP_OPTIONS, HttpAddress, http_options
from katcp.apps.server._limits import limit_options, take_limits
from katcp.apps.server._logging import FORMATS, LEVELS
from katcp.apps.server._tls import TLS_OPTIONS, tls_options
from katcp.server import DeviceServerBase

_F = TypeVar("_F", bound=Callable[..., Any])

#: Makes the class of a device, when it is time to; may raise `StartError`.
MakeClass = Callable[[], type[DeviceServerBase]]


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    Attributes
    ----------
    device : str
        See `find_class`.
    host, port
        Address to listen on.
    tb_limit : int
        Frames of tracebacks that clients are sent.
    log_level : str
    log_format : str
        ``text`` or ``json``.
    verbose : bool
    limits : dict
        Keyword arguments for the constructor: those that were given.
    allow : tuple of str
        Addresses and networks that clients may come from; empty: any.
    remote_halt : bool
        Whether clients may end and restart the device.
    tls : dict
        Files for TLS; see `tls_context`.
    http : HttpAddress, optional
        Where to serve the page; None: nowhere.
    http_name : tuple of str
        Names by which browsers may know this computer.
    check : bool
        Whether to check a device file, and serve nothing.
    make_class : function, optional
        Makes the class of the device, in place of `device`.
    """

    device: str = "host"
    host: str = "127.0.0.1"
    port: int = 7147
    tb_limit: int = 0
    log_level: str = "warn"
    log_format: str = "text"
    verbose: bool = False
    limits: dict[str, Any] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    remote_halt: bool = True
    tls: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(TLS_OPTIONS))
    http: HttpAddress | None = None
    http_name: tuple[str, ...] = ()
    check: bool = False
    make_class: MakeClass | None = field(default=None, compare=False)


_OWN = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=7147,
        show_default=True,
        help="TCP port; 0: any that is free.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(list(LEVELS)),
        default="warn",
        show_default=True,
        help="Level from which on messages are logged, to clients (?log-level) and standard error.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        default=FORMATS[0],
        show_default=True,
        help="Form of what is written to standard error; json: an object a line.",
    ),
    click.option("--verbose", "-v", is_flag=True, help="Log more; show tracebacks of errors."),
    click.option(
        "--tb-limit",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Frames of the traceback that a client is sent when a request fails by a bug.",
    ),
)


def serving_options(function: _F) -> _F:
    """Add the options to a command."""
    for add in (tls_options, limit_options, http_options):
        function = add(function)
    for option in reversed(_OWN):  # as decorators are applied
        function = option(function)
    return function


def take_settings(options: dict[str, Any], **more: Any) -> Settings:
    """Take the options of `serving_options` out of `options`.

    Parameters
    ----------
    options : dict
    **more
        Further attributes of the settings.
    """
    limits = take_limits(options)
    tls = {name: options.pop(name) for name in TLS_OPTIONS}
    names = ("host", "port", "log_level", "log_format", "verbose", "tb_limit", "allow")
    plain = {name: options.pop(name) for name in (*names, "remote_halt", *HTTP_OPTIONS)}
    return Settings(**{**plain, "limits": limits, "tls": tls, **more})
