"""What the options of ``katcp-server proxy`` mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from katcp.apps.server._daemon import make_device
from katcp.apps.server._errors import MISUSE, StartError
from katcp.apps.server._proxy import PROXY_HELP, PROXY_OPTIONS, proxy_class, proxy_options
from katcp.proxying import ProxiedDevice, ProxyServer


def parse(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    @click.command(help=PROXY_HELP)
    @proxy_options
    def command(**options: Any) -> None:
        found.update(options)

    result = CliRunner().invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    assert set(found) == set(PROXY_OPTIONS)
    return found


def shown(*arguments: str) -> dict[str, ProxiedDevice]:
    proxy = proxy_class(parse(*arguments))("127.0.0.1", 0)
    return {name: link.settings for name, link in proxy.devices.items()}


def refused(*arguments: str) -> str:
    with pytest.raises(StartError) as info:
        proxy_class(parse(*arguments))
    assert info.value.status == MISUSE
    return str(info.value)


def test_devices_of_the_command_line() -> None:
    devices = shown("dome=h:1", "10.0.0.1:7", "=g")
    assert devices == {
        "dome": ProxiedDevice("h", 1, "dome"),
        "ip-10-0-0-1-7": ProxiedDevice("10.0.0.1", 7, "ip-10-0-0-1-7"),
        "g": ProxiedDevice("g", 7147, "g", prefix=""),
    }


def test_options_are_of_all_devices() -> None:
    options = [
        *("--sensors", "a*", "--sensors", "b", "--without-sensors", "*.debug"),
        *("--requests", "*", "--requests", "halt", "--without-requests", "log-level"),
        *("--strategy", "event-rate 0.1 60", "--request-timeout", "9"),
    ]
    expected = {
        "sensors": ("a*", "b"),
        "without_sensors": ("*.debug",),
        "requests": ("*", "halt"),
        "without_requests": ("log-level",),
        "strategy": "event-rate 0.1 60",
        "request_timeout": 9.0,
    }
    assert shown("a=h:1", "b=g:1", *options) == {
        "a": ProxiedDevice("h", 1, "a", **expected),  # type: ignore[arg-type]
        "b": ProxiedDevice("g", 1, "b", **expected),  # type: ignore[arg-type]
    }


def test_devices_of_a_file_that_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("devices:\n  dome: h:1\n  camera: {address: 'g:1', sensors: x}\n")
    proxy: Any = proxy_class(parse("--config", str(path), "--sensors", "a*", "more=f:1"))(
        "127.0.0.1", 0
    )
    settings = {name: link.settings for name, link in proxy.devices.items()}
    assert settings == {
        "dome": ProxiedDevice("h", 1, "dome", sensors=("a*",)),
        "camera": ProxiedDevice("g", 1, "camera", sensors=("x",)),
        "more": ProxiedDevice("f", 1, "more", sensors=("a*",)),
    }
    kept = proxy.devices["dome"]
    path.write_text("devices:\n  dome: h:1\n  lamp: l:1\n")
    proxy.reload()
    assert set(proxy.devices) == {"dome", "lamp", "more"}
    assert proxy.devices["dome"] is kept
    path.write_text("devices:\n  dome: h:x\n")
    with pytest.raises(StartError, match=r"site\.yaml:2: 'h:x' is no address"):
        proxy.reload()
    assert set(proxy.devices) == {"dome", "lamp", "more"}


def test_what_makes_no_sense(tmp_path: Path) -> None:
    assert refused() == "no devices: [NAME=]HOST:PORT is wanted, or --config"
    assert "would have the same names" in refused("a=h:1", "a=g:1")
    assert "is no address" in refused("a=h:b")
    assert "cannot read" in refused("--config", str(tmp_path / "nothing"))
    assert "is no regular expression" in refused("a=h:1", "--sensors", "/(/")
    assert "--device-tls-cert" in refused("a=h:1", "--device-tls-key", "k")
    assert "exclude each other" in refused(
        "a=h:1", "--device-tls-ca", "f", "--device-tls-no-verify"
    )
    assert "nothing.pem" in refused("a=h:1", "--device-tls-ca", str(tmp_path / "nothing.pem"))


def test_a_strategy_that_is_none_is_misuse() -> None:
    @click.command()
    @proxy_options
    def command(**options: Any) -> None:
        raise AssertionError

    result = CliRunner().invoke(command, ["a=h:1", "--strategy", "often"])
    assert result.exit_code == 2
    assert "Unknown sampling strategy 'often'" in result.output


def test_tls_with_devices() -> None:
    (device,) = shown("a=h:1", "--device-tls").values()
    assert device.client_options["ssl_context"].check_hostname
    (device,) = shown("a=h:1", "--device-tls-no-verify").values()
    assert not device.client_options["ssl_context"].check_hostname


async def test_it_is_made_as_other_devices_are() -> None:
    cls = proxy_class(parse("a=h:1"))
    assert issubclass(cls, ProxyServer)
    device: Any = make_device(cls, "127.0.0.1", 0, 3, {"max_clients": 5, "period_floor": 0.5})
    assert device.period_floor == 0.5
    assert device.tb_limit == 3
    with pytest.raises(StartError, match="does not take --update-interval"):
        make_device(cls, "127.0.0.1", 0, 3, {"update_interval": 5})


def test_every_option_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "command-lines.md"
    part = page.read_text(encoding="utf-8").partition("### katcp-server proxy\n")[2]
    part = part.partition("\n## ")[0]

    @click.command()
    @proxy_options
    def command(**options: Any) -> None:
        raise AssertionError

    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[0]}`" in part
