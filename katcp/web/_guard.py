"""Which HTTP requests are answered: nobody else's page may use a visitor's browser.

A page from elsewhere can make a browser send requests here. Three things keep it from having an
effect: a request that says where it comes from (``Origin``, ``Sec-Fetch-Site``) has to come from
here; requests of the device are called with JSON only, which browsers ask us about before they
send it for a page from elsewhere, and we never answer that; and the ``Host`` has to be a name
that is ours, since a name of somebody else may be made to lead here after its page was loaded
(DNS rebinding). An address cannot be made to lead elsewhere, so every address will do.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")


class HostRule:
    """Tells which ``Host`` headers are ours.

    Parameters
    ----------
    names : iterable of str, optional
        Names of this computer besides ``localhost`` and its host name.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        own = socket.gethostname().lower().rstrip(".")
        short = own.partition(".")[0]
        given = {name.lower().rstrip(".") for name in names}
        self._names = {"localhost", own, short, f"{short}.local"} | given

    def allows(self, header: str | None) -> bool:
        """Tell whether a ``Host`` header is an address, or a name of ours."""
        name = host_in(header)
        if name is None:
            return False
        return is_address(name) or name in self._names or name.endswith(".localhost")


def host_in(header: str | None) -> str | None:
    """Return the host of a ``Host`` header, without its port; None if it is none."""
    match = None if header is None else _HOST.fullmatch(header.strip())
    return None if match is None else match["name"].lower().rstrip(".")


def is_address(host: str) -> bool:
    """Tell whether a host is an IPv4 address, or an IPv6 one in brackets."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (":" in host) == host.startswith("[")


def is_same_origin(origin: str | None, scheme: str, host: str) -> bool:
    """Tell whether a request was made by a page from here, or by no page.

    Parameters
    ----------
    origin : str or None
        Header ``Origin``.
    scheme : str
        ``http`` or ``https``, by which the request came.
    host : str
        Header ``Host``.
    """
    if origin is None:
        return True  # no browser, or a page that asks its own server
    try:
        parts = urlsplit(origin)
        return parts.scheme == scheme and _with_port(parts.netloc, scheme) == _with_port(
            host, scheme
        )
    except ValueError:
        return False


def _with_port(netloc: str, scheme: str) -> str:
    match = _HOST.fullmatch(netloc.strip())
    if match is None:
        raise ValueError(f"{netloc!r} is no host")
    port = match["port"] or ("443" if scheme == "https" else "80")
    return f"{match['name'].lower()}:{port}"
