"""ProtocolFlags: version numbers and optional features."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.protocol import ProtocolFlags


def test_the_flags_have_their_letters() -> None:
    assert ProtocolFlags.MULTI_CLIENT == b"M"
    assert ProtocolFlags.MESSAGE_IDS == b"I"
    assert ProtocolFlags.REQUEST_TIMEOUT_HINTS == b"T"
    assert ProtocolFlags.BULK_SET_SENSOR_SAMPLING == b"B"


def test_first_versions_and_the_text_form_are_public() -> None:
    assert ProtocolFlags.REQUEST_TIMEOUT_HINTS_MIN_VERSION == (5, 1)
    assert ProtocolFlags.BULK_SET_SENSOR_SAMPLING_MIN_VERSION == (5, 1)
    match = ProtocolFlags.VERSION_RE.match(b"5.1-MIT")
    assert match is not None
    assert match.groupdict() == {"major": b"5", "minor": b"1", "flags": b"MIT"}


def test_attributes_tell_what_is_supported() -> None:
    everything = ProtocolFlags(5, 1, {b"M", b"I", b"T", b"B"})
    assert (everything.major, everything.minor) == (5, 1)
    assert everything.flags == {b"M", b"I", b"T", b"B"}
    assert everything.multi_client is True
    assert everything.message_ids is True
    assert everything.request_timeout_hints is True
    assert everything.bulk_set_sensor_sampling is True
    assert everything.supports(b"M")

    nothing = ProtocolFlags(5, 1, ())
    assert nothing.multi_client is False
    assert nothing.message_ids is False
    assert nothing.request_timeout_hints is False
    assert nothing.bulk_set_sensor_sampling is False
    assert not nothing.supports(b"M")


def test_the_flag_set_can_be_changed() -> None:
    flags = ProtocolFlags(5, 0, "M")
    flags.flags.add(b"I")
    assert flags.message_ids
    assert str(flags) == "5.0-IM"


def test_none_for_a_number_is_0() -> None:
    flags = ProtocolFlags(None, None, None)
    assert (flags.major, flags.minor, flags.flags) == (0, 0, set())


def test_unknown_flags_are_kept() -> None:
    flags = ProtocolFlags(5, 0, [b"Z", b"M"])
    assert flags.supports(b"Z")
    assert str(flags) == "5.0-MZ"


@pytest.mark.parametrize(
    ("major", "minor", "flag"),
    [(4, 0, b"I"), (4, 9, b"I"), (5, 0, b"T"), (4, 0, b"T"), (5, 0, b"B"), (0, 0, b"B")],
)
def test_a_flag_below_its_version_is_an_error(major: int, minor: int, flag: bytes) -> None:
    with pytest.raises(ValueError, match="needs KATCP version"):
        ProtocolFlags(major, minor, {flag})


@pytest.mark.parametrize(
    ("major", "minor", "flag"), [(5, 0, b"I"), (5, 1, b"T"), (6, 0, b"B"), (4, 0, b"M")]
)
def test_a_flag_from_its_version_on_is_fine(major: int, minor: int, flag: bytes) -> None:
    assert ProtocolFlags(major, minor, {flag}).supports(flag)


@pytest.mark.parametrize(
    "flags",
    [
        "IM",
        b"IM",
        ["I", "M"],
        [b"I", b"M"],
        {"I", b"M"},
        (f for f in "MI"),
        frozenset([b"I", b"M"]),
    ],
)
def test_w6_flags_may_be_text_bytes_or_iterables_of_either(flags: Any) -> None:
    protocol = ProtocolFlags(5, 0, flags)
    assert protocol.flags == {b"I", b"M"}
    assert protocol.message_ids
    assert protocol.multi_client
    assert str(protocol) == "5.0-IM"


@pytest.mark.parametrize("flags", [["IM"], [b"IM"], [1], [""], [None]])
def test_w6_anything_but_single_characters_is_an_error(flags: Any) -> None:
    with pytest.raises(ValueError, match="single character"):
        ProtocolFlags(5, 0, flags)


def test_text_form_has_sorted_flags_and_no_dash_without_them() -> None:
    assert str(ProtocolFlags(5, 1, "TMIB")) == "5.1-BIMT"
    assert str(ProtocolFlags(5, 0, "")) == "5.0"
    assert repr(ProtocolFlags(5, 1, "MI")) == "<ProtocolFlags 5.1-IM>"


def test_equality_is_of_numbers_and_flags() -> None:
    assert ProtocolFlags(5, 1, "MI") == ProtocolFlags(5, 1, [b"I", b"M"])
    assert ProtocolFlags(5, 1, "MI") != ProtocolFlags(5, 1, "M")
    assert ProtocolFlags(5, 1, "M") != ProtocolFlags(5, 0, "M")
    assert ProtocolFlags(5, 1, "M") != "5.1-M"


def test_flags_cannot_be_hashed() -> None:
    with pytest.raises(TypeError):
        hash(ProtocolFlags(5, 0, ""))


V4 = [b"none", b"auto", b"event", b"differential", b"period"]
V5 = [*V4, b"event-rate", b"differential-rate"]


def test_strategies_go_by_the_major_version() -> None:
    assert [s for s in V5 if ProtocolFlags(4, 0, "").strategy_allowed(s)] == V4
    assert [s for s in V5 if ProtocolFlags(5, 0, "").strategy_allowed(s)] == V5
    assert not ProtocolFlags(5, 0, "").strategy_allowed(b"bogus")
    assert set(V4) == ProtocolFlags.STRATEGIES_V4
    assert set(V5) == ProtocolFlags.STRATEGIES_V5


@pytest.mark.parametrize("major", [0, 3, 6])
def test_strategies_of_other_versions_are_not_known(major: int) -> None:
    with pytest.raises(KeyError):
        ProtocolFlags(major, 0, "").strategy_allowed(b"event")


@pytest.mark.parametrize(
    ("text", "major", "minor", "flags"),
    [
        (b"5.1-MIBT", 5, 1, {b"M", b"I", b"B", b"T"}),
        (b"5.0-M", 5, 0, {b"M"}),
        (b"5.0", 5, 0, set()),
        (b"5.0-", 5, 0, set()),
        (b"6.0-MIZ", 6, 0, {b"M", b"I", b"Z"}),
        (b"10.12-M", 10, 12, {b"M"}),
        (b"5.0-M-I", 5, 0, {b"M", b"-", b"I"}),
    ],
)
def test_parse_version(text: bytes, major: int, minor: int, flags: set[bytes]) -> None:
    parsed = ProtocolFlags.parse_version(text)
    assert (parsed.major, parsed.minor, parsed.flags) == (major, minor, flags)


@pytest.mark.parametrize(
    "text", [b"", b"5", b"5.", b".1", b"five", b"5.0 M", b"v5.0", b"5.0M", b"\xff", b"9" * 20]
)
def test_text_of_another_form_is_version_0(text: bytes) -> None:
    assert ProtocolFlags.parse_version(text) == ProtocolFlags(0, 0, "")


@pytest.mark.parametrize(
    ("text", "expected"), [(b"4.0-I", "4.0"), (b"5.0-MIT", "5.0-IM"), (b"5.0-BT", "5.0")]
)
def test_w7_impossible_flags_are_dropped_with_a_warning(
    text: bytes, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert str(ProtocolFlags.parse_version(text)) == expected
    assert "Ignoring flags" in caplog.text


def test_flags_beyond_ascii_do_not_stop_the_text_form() -> None:
    parsed = ProtocolFlags.parse_version(b"5.0-M\xff")
    assert str(parsed) == "5.0-M\\xff"


@given(
    st.integers(5, 99),
    st.integers(1, 99),
    st.sets(st.sampled_from([b"M", b"I", b"T", b"B", b"Z", b"a"])),
)
def test_the_text_form_reads_back(major: int, minor: int, flags: set[bytes]) -> None:
    protocol = ProtocolFlags(major, minor, flags)
    assert ProtocolFlags.parse_version(str(protocol).encode()) == protocol
