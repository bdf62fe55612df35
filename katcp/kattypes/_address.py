"""Addresses: host and port, or a host alone."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar

from katcp.kattypes._base import KatcpType, quoted
from katcp.kattypes._text import to_text


def _unparsable(value: bytes) -> ValueError:
    return ValueError(f"Could not parse '{quoted(value)}' as an address.")


class Address(KatcpType):
    """A host and perhaps a port: ``10.1.2.3``, ``10.1.2.3:7147``, ``[::1]:80``, ``m001:7147``.

    The value is a tuple of the host (`str`; a version 6 address without its brackets) and the
    port (`int`, or None). Host names are taken as they are; nothing is looked up.
    """

    name = "address"

    IPV4_RE: ClassVar[re.Pattern[bytes]] = re.compile(rb"^(?P<host>[^:]*)(:(?P<port>\d+))?$")
    IPV6_RE: ClassVar[re.Pattern[bytes]] = re.compile(rb"^\[(?P<host>[^[]*)\](:(?P<port>\d+))?$")

    #: The value for "no address".
    NULL: ClassVar[tuple[str, None]] = ("0.0.0.0", None)

    def encode(self, value: Any, major: int) -> bytes:
        """Write ``host``, ``host:port`` or, for version 6, ``[host]:port``.

        `value` is a pair of host and port; a host alone (text or an address of `ipaddress`) will
        do.
        """
        host, port = value if isinstance(value, (tuple, list)) else (value, None)
        text = to_text(host)
        if ":" in text:
            text = f"[{text}]"
        if port is not None:
            text = f"{text}:{int(port)}"
        return text.encode("utf-8")

    def decode(self, value: bytes, major: int) -> tuple[str, int | None]:
        """Read a host and perhaps a port."""
        pattern = self.IPV6_RE if value.startswith(b"[") else self.IPV4_RE
        match = pattern.match(value)
        if match is None:
            raise _unparsable(value)
        host, port = match.group("host", "port")
        try:
            return host.decode("utf-8"), None if port is None else int(port)
        except ValueError:
            raise _unparsable(value) from None


class IPAddress(KatcpType):
    """An address of `ipaddress`, without a port: ``10.1.2.3``, ``[::1]``.

    Parameters
    ----------
    version : {4, 6}, optional
        The only version allowed.
    **kwargs
        As for `KatcpType`.
    """

    name = "address"

    def __init__(self, version: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._version = version

    def check(self, value: Any, major: int) -> None:
        """Raise `ValueError` for an address of the other version."""
        if self._version not in (None, ipaddress.ip_address(value).version):
            raise ValueError(f"An address of IP version {self._version} is needed, not {value}.")

    def encode(self, value: Any, major: int) -> bytes:
        """Write an address, those of version 6 in brackets; its text will do."""
        address = ipaddress.ip_address(value)
        return (f"[{address}]" if address.version == 6 else str(address)).encode()

    def decode(self, value: bytes, major: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """Read an address; brackets around one of version 6 may be missing."""
        bracketed = value.startswith(b"[") and value.endswith(b"]")
        try:
            address = ipaddress.ip_address((value[1:-1] if bracketed else value).decode("ascii"))
        except ValueError:
            raise _unparsable(value) from None
        if bracketed and address.version != 6:
            raise _unparsable(value)
        return address
