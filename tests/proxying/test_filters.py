"""Patterns of names."""

from __future__ import annotations

import pytest

from katcp.proxying import NameFilter, ProxyError, RequestFilter


def test_all_names_are_taken_by_default() -> None:
    assert NameFilter()("anything")


def test_patterns() -> None:
    chosen = NameFilter(["a.*", "/^b[0-9]/", "exact"], ["*.debug", "/secret/"])
    taken = [
        name
        for name in ("a.b", "a.debug", "xa.b", "b1.temperature", "bb1", "exact", "exactly", "a.sec")
        if chosen(name)
    ]
    assert taken == ["a.b", "b1.temperature", "exact", "a.sec"]
    assert not chosen("a.secrets")
    assert NameFilter(["a.[bc]?"])("a.c1")
    assert not NameFilter(["A*"])("a")


def test_requests_that_are_passed_on_only_if_named() -> None:
    by_default = RequestFilter()
    assert all(map(by_default, ("slew", "log-level", "watchdog")))
    for name in ("halt", "restart", "help", "sensor-list", "sensor-value", "version-list"):
        assert not by_default(name)
        assert not RequestFilter(["*"])(name)
        assert RequestFilter(["*", name])(name)
        assert not RequestFilter([name], [name])(name)
    assert not RequestFilter(["sensor-sampling"])("sensor-sampling")
    assert not RequestFilter([], ["log-*"])("log-level")


def test_patterns_that_are_none() -> None:
    for pattern in ("", "/(/", "/*/"):
        with pytest.raises(ProxyError):
            NameFilter([pattern])
