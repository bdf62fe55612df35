"""An authority whose certificates the tests believe, one whose they do not, and what they issue."""

from __future__ import annotations

import datetime
import functools
import ssl
from pathlib import Path
from typing import Any

import trustme

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


class Authority:
    """Issues certificates, and makes contexts with them."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def server(self, *names: str, **options: Any) -> ssl.SSLContext:
        """Return the context of a server; by default it may be called by its loopback names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._issue(*names or ("localhost", "127.0.0.1"), **options).configure_cert(context)
        return context

    def server_for_members(self, *names: str) -> ssl.SSLContext:
        """Return the context of a server whose clients need certificates of this authority."""
        context = self.server(*names)
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, name: str = "", **options: Any) -> ssl.SSLContext:
        """Return the context of a client that believes this authority; with a name, a member."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if name:
            self._issue(name, **options).configure_cert(context)
        return context

    def member_of(self, other: Authority, name: str) -> ssl.SSLContext:
        """Return a client's context that believes this authority and is a member of another."""
        context = self.client()
        other._issue(name).configure_cert(context)
        return context

    def _issue(self, *names: str, expired: bool = False) -> trustme.LeafCert:
        dates = {"not_before": PAST - datetime.timedelta(1), "not_after": PAST} if expired else {}
        return self._ca.issue_cert(*names, **dates)

    def write(self, place: Path, *names: str, expired: bool = False) -> tuple[str, str, str]:
        """Write certificate, key, and the authority's certificate; return the three paths."""
        place.mkdir(exist_ok=True)
        leaf = self._issue(*names or ("localhost", "127.0.0.1"), expired=expired)
        paths = place / "cert.pem", place / "key.pem", place / "ca.pem"
        paths[0].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(paths[1]))
        self._ca.cert_pem.write_to_path(str(paths[2]))
        cert, key, ca = map(str, paths)
        return cert, key, ca


@functools.cache
def authority() -> Authority:
    """Return the one that is believed."""
    return Authority()


@functools.cache
def other_authority() -> Authority:
    """Return another, that nobody believes who does not say so."""
    return Authority()
