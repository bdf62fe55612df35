"""Names for addresses: the user's file, and what it is mixed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcp.apps.cli._devices import NamedDevice, devices_path, named_devices
from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._settings import Settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "katcp").mkdir()
    return tmp_path / "katcp" / "devices.toml"


def test_where_the_file_is(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_path() == config
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # which the rules say to ignore
    assert devices_path() == Path.home() / ".config/katcp/devices.toml"


def test_no_file_is_no_devices(config: Path) -> None:
    assert named_devices() == {}
    assert Settings("rx").where() == ("rx", 7147)


def test_devices(config: Path) -> None:
    config.write_text(
        'dbe = "host:1"\n[rx]\naddress = "[::1]:2"\ndescription = "Roof"\ntimeout = 20\n'
        "tls = true\n"
    )
    assert named_devices() == {
        "dbe": NamedDevice("dbe", "host:1"),
        "rx": NamedDevice("rx", "[::1]:2", "Roof", {"timeout": 20, "tls": True}),
    }


def test_a_name_stands_for_an_address_and_options_count_more(config: Path) -> None:
    config.write_text('[rx]\naddress = "host:2"\ntimeout = 20\n')
    assert Settings("rx").where() == ("host", 2)
    assert Settings("rx").target() == ("host", 2, 20, None, "rx")
    assert Settings("rx", timeout=3.0).target().timeout == 3.0
    assert Settings("rx:7").target() == ("rx", 7, None, None, "")


def test_tls_of_the_file(config: Path) -> None:
    config.write_text('[rx]\naddress = "host:2"\ntls-no-verify = true\ntls-name = "other"\n')
    tls = Settings("rx").target().tls
    assert tls is not None
    assert tls.name == "other"
    config.write_text('[rx]\naddress = "host:2"\ntls-ca = "/nowhere"\n')
    with pytest.raises(Misuse, match="/nowhere"):
        Settings("rx").target()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dbe = ", "Invalid value"),
        ("dbe = 3", "dbe is neither an address"),
        ('dbe = "host"', "dbe: address is to be HOST:PORT, not 'host'"),
        ("[dbe]", "dbe: address is to be HOST:PORT"),
        ('"\\u001b" = "host:1"', r"'\\x1b' is no name"),
        ('[dbe]\naddress = "h:1"\nport = 3', "dbe: unknown key 'port': it is one of address"),
        ('[dbe]\naddress = "h:1"\ntimeout = "3"', "dbe: timeout has a value of the wrong type"),
        ('[dbe]\naddress = "h:1"\ntimeout = true', "dbe: timeout has a value of the wrong type"),
        ('[dbe]\naddress = "h:1"\ntimeout = 0', "dbe: timeout is to be positive"),
    ],
)
def test_mistakes_are_told(config: Path, text: str, complaint: str) -> None:
    config.write_text(text)
    with pytest.raises(Misuse, match=complaint) as caught:
        named_devices()
    assert str(config) in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_that_is_not_text(config: Path) -> None:
    config.write_bytes(b"\xff")
    with pytest.raises(Misuse, match=r"devices\.toml"):
        named_devices()
