import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.kattypes import Address, IPAddress

HOSTS = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
    | st.from_regex(r"[a-z][a-z0-9-]{0,9}(\.[a-z]{2,5})?", fullmatch=True)
)


@given(HOSTS, st.none() | st.integers(0, 65535))
def test_address_round_trip(host, port):
    assert Address().unpack(Address().pack((host, port))) == (host, port)
    assert Address().decoder(5)(Address().encoder(5)((host, port))) == (host, port)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"10.1.2.3", ("10.1.2.3", None)),
        (b"10.1.2.3:7147", ("10.1.2.3", 7147)),
        (b"[::1]", ("::1", None)),
        (b"[fe80::1]:80", ("fe80::1", 80)),
        (b"m001.example:7147", ("m001.example", 7147)),
        (b"localhost", ("localhost", None)),
        (b"0.0.0.0", Address.NULL),
        (b"", ("", None)),
    ],
)
def test_address_forms(wire, value):
    assert Address().unpack(wire) == value
    assert Address().pack(value) == wire


@pytest.mark.parametrize(
    "wire", [b"[::1]:x", b"::1", b"1.2.3.4:", b"[::1", b"a:1:2", b"\xff", b"a:" + b"9" * 5000]
)
def test_bad_addresses(wire):
    with pytest.raises(ValueError, match=r"^Could not parse '.*' as an address\.$"):
        Address().unpack(wire)


def test_address_text():
    with pytest.raises(ValueError) as error:
        Address().unpack(b"[::1]:x")
    assert str(error.value) == "Could not parse 'b'[::1]:x'' as an address."


def test_address_packs_other_spellings():
    assert Address().pack((b"host", 5)) == b"host:5"
    assert Address().pack(["host", None]) == b"host"
    assert Address().pack("host") == b"host"
    assert Address().pack(ipaddress.ip_address("::1")) == b"[::1]"


@given(st.ip_addresses())
def test_ip_address_round_trip(address):
    assert IPAddress().unpack(IPAddress().pack(address)) == address


def test_ip_address():
    assert IPAddress(6).unpack(b"::1") == ipaddress.IPv6Address("::1")
    assert IPAddress(4).pack("10.0.0.1") == b"10.0.0.1"
    with pytest.raises(ValueError, match="IP version 4 is needed, not ::1"):
        IPAddress(4).unpack(b"[::1]")
    for wire in (b"host", b"10.0.0.1:80", b"[10.0.0.1]", b"\xff", b""):
        with pytest.raises(ValueError, match="as an address"):
            IPAddress().unpack(wire)
