"""The numbers that users of katcp-python import."""

from __future__ import annotations

from katcp import protocol


def test_the_default_version_is_5() -> None:
    assert protocol.DEFAULT_KATCP_MAJOR == 5


def test_times_are_in_seconds_from_version_5_on() -> None:
    assert protocol.SEC_TS_KATCP_MAJOR == 5
    assert protocol.FLOAT_TS_KATCP_MAJOR == 4
    assert protocol.SEC_TO_MS_FAC == 1000
    assert protocol.MS_TO_SEC_FAC == 0.001


def test_what_came_with_version_5() -> None:
    assert protocol.MID_KATCP_MAJOR == 5
    assert protocol.VERSION_CONNECT_KATCP_MAJOR == 5
    assert protocol.INTERFACE_CHANGED_KATCP_MAJOR == 5


def test_message_ids_end_where_the_guidelines_say() -> None:
    assert protocol.MAX_MID == 2147483647


def test_default_limits_of_a_line() -> None:
    assert protocol.DEFAULT_MAX_LINE == 2 * 1024 * 1024
    assert protocol.DEFAULT_CLIENT_MAX_LINE == 16 * 1024 * 1024
