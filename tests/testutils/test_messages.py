from __future__ import annotations

import unittest

from katcp.testutils import TestUtilMixin, add_mid_to_msg_str


def test_mids_are_put_into_bytes_as_well() -> None:
    assert add_mid_to_msg_str(b"!foo ok", 5) == b"!foo[5] ok"
    assert add_mid_to_msg_str(b"!foo", b"5") == b"!foo[5]"
    assert add_mid_to_msg_str("!foo ok", b"5") == "!foo[5] ok"


def test_what_the_mixin_is_mixed_into_is_a_test() -> None:
    class Suite(unittest.TestCase, TestUtilMixin):
        pass

    class Derived(Suite):
        pass

    class Base(unittest.TestCase, TestUtilMixin):
        __test__ = False

    class OfBase(Base):
        pass

    assert not TestUtilMixin.__test__
    assert Suite.__test__
    assert Derived.__test__
    assert not OfBase.__test__
