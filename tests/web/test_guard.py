"""Who may ask: names that are ours, pages that are ours."""

from __future__ import annotations

import socket

import pytest

from katcp.web._guard import HostRule, is_same_origin


@pytest.mark.parametrize(
    "header",
    [
        "localhost",
        "localhost:8080",
        "LOCALHOST:8080",
        "127.0.0.1:1",
        "[::1]:8080",
        "10.1.2.3",
        "app.localhost",
        "dome.example.org:8080",
        socket.gethostname(),
    ],
)
def test_a_host_that_is_ours(header: str) -> None:
    assert HostRule(["Dome.Example.ORG."]).allows(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "evil.example.org",
        "evil.example.org:8080",
        "127.0.0.1.evil.example.org",
        "localhost.evil.example.org",
        "localhost@evil.example.org",
        "127.0.0.1:8080/x",
        "::1",
        "[evil]",
        "dome.example.org.evil.example",
        "localhost:99999999",
    ],
)
def test_a_host_that_is_not(header: str | None) -> None:
    assert not HostRule(["dome.example.org"]).allows(header)


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "expected"),
    [
        (None, "http", "localhost:8080", True),
        ("http://localhost:8080", "http", "localhost:8080", True),
        ("http://LOCALHOST:8080", "http", "localhost:8080", True),
        ("http://dome", "http", "dome:80", True),
        ("https://dome", "https", "dome:443", True),
        ("null", "http", "localhost:8080", False),
        ("", "http", "localhost:8080", False),
        ("http://localhost:8081", "http", "localhost:8080", False),
        ("https://localhost:8080", "http", "localhost:8080", False),
        ("http://evil.example", "http", "localhost:8080", False),
        ("http://localhost:8080@evil.example", "http", "localhost:8080", False),
        ("http://[::1]:8080", "http", "[::1]:8080", True),
        ("http://[", "http", "[", False),
    ],
)
def test_where_a_page_comes_from(
    origin: str | None, scheme: str, host: str, expected: bool
) -> None:
    assert is_same_origin(origin, scheme, host) is expected
