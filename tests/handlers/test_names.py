"""Names on the wire and in Python."""

from __future__ import annotations

import pytest

from katcp.handlers import convert_method_name


@pytest.mark.parametrize(
    ("prefix", "name", "expected"),
    [
        ("request_", "request_raw_reverse", "raw-reverse"),
        ("request_", "request_help", "help"),
        ("inform_", "inform_interface_changed", "interface-changed"),
        ("reply_", "reply_a", "a"),
        ("request_", "request_request_timeout_hint", "request-timeout-hint"),
    ],
)
def test_methods_give_messages_their_names(prefix: str, name: str, expected: str) -> None:
    assert convert_method_name(prefix, name) == expected
