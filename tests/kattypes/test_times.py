import copy
import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.kattypes import StrictTimestamp, Timestamp, TimestampOrNow

TODAY = 1_600_000_000.25
TIMES = st.floats(0, 1e10)


@given(TIMES)
def test_timestamp_round_trip_to_the_microsecond(seconds):
    kattype = Timestamp()
    assert kattype.unpack(kattype.pack(seconds)) == pytest.approx(seconds, abs=1e-6, rel=1e-15)
    assert kattype.decoder(5)(kattype.encoder(5)(seconds)) == kattype.unpack(kattype.pack(seconds))


@given(TIMES)
@example(1.001)
@example(0.0005)
def test_timestamp_of_version_4_is_the_nearest_millisecond(seconds):
    raw = Timestamp().pack(seconds, major=4)
    # A float of 1e13 ms is good to a thousandth.
    assert abs(int(raw) - Fraction(seconds) * 1000) <= Fraction(501, 1000)
    assert Timestamp().encoder(4)(seconds) == raw
    assert Timestamp().pack(Timestamp().unpack(raw, 4), major=4) == raw


def test_timestamp_wire_forms():
    assert Timestamp().pack(TODAY) == b"1600000000.250000"
    assert Timestamp().pack(TODAY, major=4) == b"1600000000250"
    assert Timestamp().pack(1.001, major=4) == b"1001"  # not truncated to 1000
    assert Timestamp().pack(99) == b"99.000000"
    assert Timestamp().unpack(b"1600000000.25") == TODAY
    assert Timestamp().unpack(b"16e8") == 1.6e9
    assert Timestamp().unpack(b"1600000000250", major=4) == TODAY
    assert Timestamp().decoder(4)(b"1500.5") == 1.5005


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("major", [4, 5])
def test_times_that_are_no_numbers_pass_as_they_are(text, major):
    packed = Timestamp().pack(float(text), major=major)
    assert packed == text.encode()
    assert repr(Timestamp().unpack(packed, major)) == text


def test_timestamp_text():
    for refuse in (Timestamp().unpack, Timestamp().decoder(4)):
        with pytest.raises(ValueError) as error:
            refuse(b"x")
        assert str(error.value) == "Could not parse value 'x' as timestamp."
    with pytest.raises(ValueError, match="as timestamp"):
        Timestamp().unpack(b"\xff")


def test_w17_timestamps_too_are_decimal_numbers():
    for kattype in (Timestamp(), TimestampOrNow(), StrictTimestamp()):
        for raw in (b"1_000", b" 1", b"1\n", b""):
            with pytest.raises(ValueError, match="Could not parse"):
                kattype.unpack(raw)


def test_timestamp_refuses_text():
    for major in (4, 5):
        with pytest.raises(ValueError):
            Timestamp().pack("noon", major=major)


def test_subclass_is_not_read_the_short_way():
    class Shifted(Timestamp):
        def decode(self, value, major):
            return super().decode(value, major) + 1

        def encode(self, value, major):
            return super().encode(value - 1, major)

    assert Shifted().decoder(5)(b"1") == 2.0
    assert Shifted().encoder(5)(2.0) == b"1.000000"


@pytest.mark.parametrize("major", [4, 5])
def test_now(major):
    kattype = TimestampOrNow()
    assert kattype.unpack(b"now", major) is TimestampOrNow.NOW
    assert kattype.decoder(major)(b"now") is TimestampOrNow.NOW
    assert kattype.pack(TimestampOrNow.NOW, major=major) == b"now"
    assert kattype.unpack(kattype.pack(12.5, major=major), major) == 12.5
    assert TimestampOrNow(default=TimestampOrNow.NOW).unpack(None, major) is TimestampOrNow.NOW


def test_now_is_unique():
    assert copy.deepcopy(TimestampOrNow.NOW) is TimestampOrNow.NOW
    assert repr(TimestampOrNow.NOW) == "NOW"


@given(st.floats(0, 1e300))
@example(1e-7)
@example(1e22)
@example(5e-324)
def test_strict_timestamp_round_trip(seconds):
    raw = StrictTimestamp().pack(seconds)
    assert not set(raw) - set(b"0123456789.")
    assert StrictTimestamp().unpack(raw) == seconds


def test_strict_timestamp():
    kattype = StrictTimestamp()
    assert kattype.pack(0.1) == b"0.1"
    assert [kattype.unpack(raw) for raw in (b"12", b"12.", b".5", b"0012.50")] == [
        12.0,
        12.0,
        0.5,
        12.5,
    ]
    for raw in (b"-1", b"+1", b"1e3", b"nan", b"1.2.3", b"."):
        with pytest.raises(ValueError, match=r"Could not parse value 'b'.*'' as strict timestamp"):
            kattype.unpack(raw)
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="is not a finite number of at least 0"):
            kattype.pack(seconds)


def test_strict_timestamp_of_version_4():
    assert StrictTimestamp().pack(1.001, major=4) == b"1001.0"
    assert StrictTimestamp().unpack(b"1001.0", major=4) == 1.001
