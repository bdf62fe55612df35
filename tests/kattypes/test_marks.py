import math

import pytest

from katcp.kattypes import (
    Int,
    concurrent_reply,
    handler_is_available,
    has_katcp_protocol_flags,
    minimum_katcp_version,
    request,
    request_timeout_hint,
    return_reply,
)
from katcp.protocol import ProtocolFlags


def handler(self, req, msg):
    """Do nothing."""


def fresh():
    def request_x(self, req, x):
        """Do nothing."""
        return ("ok", x)

    return request_x


def test_marks_are_attributes_of_the_function():
    function = fresh()
    assert concurrent_reply(function) is function
    assert function._concurrent_reply is True
    assert request_timeout_hint(2)(function) is function
    assert function.request_timeout_hint == 2.0
    assert type(function.request_timeout_hint) is float
    assert request_timeout_hint(None)(function).request_timeout_hint is None


@pytest.mark.parametrize("hint", [-1, math.nan])
def test_timeout_hint_is_a_time(hint):
    with pytest.raises(ValueError, match="at least 0 s"):
        request_timeout_hint(hint)


def test_marks_may_stand_anywhere_in_the_stack():
    below = request(Int())(return_reply(Int())(concurrent_reply(request_timeout_hint(5)(fresh()))))
    between = request(Int())(
        concurrent_reply(return_reply(Int())(request_timeout_hint(5)(fresh())))
    )
    above = concurrent_reply(request_timeout_hint(5)(return_reply(Int())(request(Int())(fresh()))))
    for marked in (below, between, above):
        assert marked._concurrent_reply is True
        assert marked.request_timeout_hint == 5.0


@pytest.mark.parametrize(
    ("version", "available"), [((4, 0), False), ((5, 0), False), ((5, 1), True), ((6, 0), True)]
)
def test_minimum_version(version, available):
    marked = minimum_katcp_version(5, 1)(fresh())
    assert marked._minimum_katcp_version == (5, 1)
    assert handler_is_available(marked, ProtocolFlags(*version, "")) is available
    assert minimum_katcp_version(5)(fresh())._minimum_katcp_version == (5, 0)


def test_flags():
    marked = has_katcp_protocol_flags([ProtocolFlags.REQUEST_TIMEOUT_HINTS, b"B"])(fresh())
    assert marked._has_katcp_protocol_flags == [b"B", b"T"]
    assert handler_is_available(marked, ProtocolFlags(5, 1, "BIMT"))
    assert not handler_is_available(marked, ProtocolFlags(5, 1, "IMT"))


def test_flags_may_be_text():
    assert has_katcp_protocol_flags("T")(fresh())._has_katcp_protocol_flags == [b"T"]


def test_unmarked_handlers_are_everywhere():
    assert handler_is_available(handler, ProtocolFlags(4, 0, ""))
