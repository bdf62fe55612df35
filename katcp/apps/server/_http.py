"""Options of ``katcp-server`` for the web."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from katcp.apps.server._errors import StartError, one_line
from katcp.server import DeviceServerBase

if TYPE_CHECKING:
    from katcp.web import WebServer

_F = TypeVar("_F", bound=Callable[..., Any])

#: Names of the parameters that the options become.
HTTP_OPTIONS = ("http", "http_name")


@dataclass(frozen=True)
class HttpAddress:
    """Where to listen.

    Attributes
    ----------
    host : str
        Empty: all interfaces.
    port : int
        0: any free one.
    """

    host: str
    port: int


class HttpAddressType(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """``[HOST:]PORT``; an IPv6 host in brackets; ``*`` for all interfaces."""

    name = "[HOST:]PORT"

    def convert(self, value: Any, param: Any, ctx: Any) -> HttpAddress:
        """Read the text of the command line (called by click)."""
        if isinstance(value, HttpAddress):
            return value
        host, colon, port = str(value).rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535) or (colon and not host):
            self.fail(f"{value!r} is not [HOST:]PORT", param, ctx)
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if ":" in bare and bare == host:
            self.fail(f"{value!r}: an IPv6 address stands in brackets", param, ctx)
        if not colon:
            bare = "127.0.0.1"
        return HttpAddress("" if bare == "*" else bare, int(port))


def http_options(function: _F) -> _F:
    """Add the options to a command."""
    options = (
        click.option(
            "--http",
            type=HttpAddressType(),
            help="Serve a page for browsers, /api and /metrics there too; HOST is 127.0.0.1 "
            "unless given, '*' means all interfaces.  [default: off]",
        ),
        click.option(
            "--http-name",
            multiple=True,
            metavar="NAME",
            help="Name by which browsers may know this computer, besides localhost and its host "
            "name; may be given several times.",
        ),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def start_http(
    device: DeviceServerBase,
    http: HttpAddress | None,
    http_name: tuple[str, ...] = (),
    context: ssl.SSLContext | None = None,
) -> WebServer | None:
    """Begin to serve a device, which runs in this loop, on the web; None if that was not asked for.

    The program is to say ``page at URL`` (`WebServer.url`), and to `WebServer.stop` it.

    Parameters
    ----------
    device : DeviceServerBase
    http, http_name
        What the options are.
    context : ssl.SSLContext, optional
        For HTTPS: that of the device, if it has one.

    Raises
    ------
    StartError
        If the address cannot be listened on.
    """
    if http is None:
        return None
    # Tornado's web server and the exporter for Prometheus take 0.1 s to import.
    from katcp.web import WebServer

    web = WebServer(device, http.host, http.port, ssl_context=context, names=http_name)
    try:
        web.start()
    except OSError as error:
        reason = one_line(error.strerror or str(error))
        raise StartError(
            f"cannot serve HTTP on {http.host or '*'}:{http.port}: {reason}"
        ) from error
    return web


def http_warning(web: WebServer, *, guarded: bool) -> str | None:
    """Return what to warn of: whoever reaches the page can do what clients of the device can.

    Parameters
    ----------
    web : WebServer
    guarded : bool
        Whether the device has an access policy, an allow-list, or asks for certificates.
    """
    if guarded or not web.is_exposed:
        return None
    return (
        f"The page at {web.url} can be reached from other computers: whoever opens it can call "
        "every request of the device."
    )
