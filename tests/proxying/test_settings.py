"""What devices are called, and what a proxy does not take."""

from __future__ import annotations

import pytest

from katcp.proxying import ProxiedDevice, ProxyError, ProxyServer, named_devices


def names(*devices: str) -> list[str]:
    return [device.name for device in named_devices(devices)]


def test_name_and_address_are_read() -> None:
    device = ProxiedDevice.parse("dome=dome.example.org:7148")
    assert (device.name, device.host, device.port) == ("dome", "dome.example.org", 7148)
    assert (device.sensor_start, device.request_start) == ("dome.", "dome-")
    assert device.address == "dome.example.org:7148"
    device = ProxiedDevice.parse("a.b_c=[fd00::17]")
    assert (device.host, device.port) == ("fd00::17", 7147)
    assert device.address == "[fd00::17]:7147"
    assert (device.sensor_start, device.request_start) == ("a.b_c.", "a-b-c-")


def test_prefixes_can_be_chosen() -> None:
    bare = ProxiedDevice.parse("=dome:1")
    assert (bare.sensor_start, bare.request_start) == ("", "")
    device = ProxiedDevice("dome", name="dome", prefix="d_")
    assert (device.sensor_start, device.request_start) == ("d_", "d-")
    device = ProxiedDevice("dome", name="dome", request_prefix="")
    assert (device.sensor_start, device.request_start) == ("dome.", "")


def test_devices_without_a_name_are_called_by_their_address() -> None:
    assert names("dome.example.org:1", "camera", "10.1.2.3:7148", "localhost:7147", "[::1]:2") == [
        "dome",
        "camera",
        "ip-10-1-2-3-7148",
        "localhost-7147",
        "ip-1-2",
    ]


def test_ambiguous_ones_are_called_by_the_whole_address() -> None:
    assert names("dome.a.org:1", "dome.b.org:1", "camera.b.org:1") == [
        "dome-a-org-1",
        "dome-b-org-1",
        "camera",
    ]
    assert names("dome=10.0.0.1", "dome.b.org:1") == ["dome", "dome-b-org-1"]
    assert names("proxy.a.org:5", "7dish.a.org:5", "x_y.a.org:5") == [
        "proxy-a-org-5",
        "host-7dish-a-org-5",
        "x_y",
    ]


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (["a=h:1", "a=g:1"], "h:1 and g:1 would have the same names, as both are called 'a'"),
        (["a.b=h:1", "a-b=g:1"], "both are called 'a-b'"),
        (["h:1", "h:1"], "h:1 and h:1 would have the same names"),
        (["1a=h:1"], "cannot be called '1a'"),
        (["a b=h:1"], "cannot be called 'a b'"),
        (["proxy=h:1"], "cannot be called 'proxy'"),
        (["server=h:1"], "cannot be called 'server'"),
        (["a="], "'' is no address"),
        (["a=:1"], "':1' is no address"),
        (["a=h:0"], "no port"),
        (["a=h:70000"], "no port"),
        (["a=h:x"], "is no address"),
        (["a=fd00::1:7147"], "is no address"),
        (["a=[fd00::1"], "is no address"),
    ],
)
def test_what_cannot_be(devices: list[str], words: str) -> None:
    with pytest.raises(ProxyError) as info:
        ProxyServer("127.0.0.1", 0, devices)
    assert words in str(info.value)


def test_attributes_are_checked() -> None:
    for options, words in (
        ({"host": ""}, "no host"),
        ({"port": 0}, "no port"),
        ({"prefix": "a b"}, "begin the name of a sensor"),
        ({"request_prefix": "a."}, "begin the name of a request"),
        ({"request_timeout": 0.0}, "must be positive"),
        ({"sensors": ("/[/",)}, "is no regular expression"),
        ({"without_requests": ("",)}, "is empty"),
    ):
        with pytest.raises(ProxyError) as info:
            ProxiedDevice(**{"host": "h", **options})  # type: ignore[arg-type]
        assert words in str(info.value)


def test_several_devices_may_have_no_prefix() -> None:
    first, second = named_devices(["=a:1", "=b:1"])
    assert (first.name, second.name) == ("a", "b")
