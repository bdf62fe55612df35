"""The options of ``katcp-server`` for limits; see also tests/system."""

import inspect
import logging
from typing import Any

import pytest

from katcp.apps.server._errors import StartError
from katcp.apps.server._limits import (
    LIMITS,
    MAX_CLIENTS,
    MAX_CLIENTS_PER_ADDRESS,
    RESERVED_CLIENTS,
    guard,
    look_outside,
)
from katcp.apps.server._options import Settings
from katcp.apps.server._program import command
from katcp.server import AsyncDeviceServer, DeviceServer, DeviceServerBase
from katcp.server._running import RunningServer
from tests.helpers.serving import Bare, serving


class OldStyle(AsyncDeviceServer):
    """Takes an address, and no limits."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)

    def setup_sensors(self) -> None:
        pass


def settings(*arguments: str) -> Settings:
    result: Settings = command.main(list(arguments), standalone_mode=False)
    return result


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        (["--max-clients-per-address", "3"], {"max_clients_per_address": 3}),
        (["--reserved-clients", "0"], {"reserved_clients": 0}),
        (["--max-requests", "7"], {"max_requests": 7}),
        (["--max-requests-per-client", "7"], {"max_requests_per_client": 7}),
        (["--max-subscriptions", "7"], {"max_subscriptions": 7}),
        (["--max-arguments", "7"], {"max_arguments": 7}),
        (["--max-name", "7"], {"max_name": 7}),
        (["--max-complaints", "0"], {"max_complaints": 0}),
        (["--idle-timeout", "60"], {"idle_timeout": 60.0}),
        (["--keepalive", "5", "2", "3"], {"keepalive": (5, 2, 3)}),
        (["--lag-warning", "0.5"], {"lag_warning": 0.5}),
        (["--lag-warning", "0"], {"lag_warning": None}),
        (["--statistics-period", "2"], {"statistics_period": 2.0}),
    ],
)
def test_options(arguments: list[str], limits: dict[str, Any]) -> None:
    assert settings(*arguments) == Settings(limits=limits)
    Bare("127.0.0.1", 0, **limits)


def test_every_limit_of_the_constructor_has_an_option() -> None:
    keywords = {
        name
        for base in (RunningServer, DeviceServer)
        for name, parameter in inspect.signature(base.__dict__["__init__"]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    others = {"allow", "remote_halt", "access", "ssl_context"}
    assert keywords - others == set(LIMITS)


def test_settings_for_the_door() -> None:
    assert settings("--allow", "10.0.0.0/8", "--allow", "::1") == Settings(
        allow=("10.0.0.0/8", "::1")
    )
    assert settings("--no-remote-halt") == Settings(remote_halt=False)


@pytest.mark.parametrize("cls", [Bare, OldStyle])
async def test_guard(cls: type[DeviceServerBase]) -> None:
    """It works for classes that know nothing of it."""
    device = cls("127.0.0.1", 0)
    guard(device, ["10.0.0.0/8"], remote_halt=False)
    assert device.katcp_is_guarded
    assert "halt" not in device._request_handlers
    places = device._server.admission
    assert (places.max_clients, places.reserved_clients) == (MAX_CLIENTS, RESERVED_CLIENTS)
    assert places.max_clients_per_address is None


def test_limits_of_the_device_stay() -> None:
    device = Bare("127.0.0.1", 0, max_clients=5, max_clients_per_address=4)
    guard(device, [], remote_halt=True)
    places = device._server.admission
    assert (places.max_clients, places.reserved_clients) == (5, 0)
    assert places.max_clients_per_address == 4
    assert places.networks is None
    assert "halt" in device._request_handlers


def test_reserved_places_stay() -> None:
    device = Bare("127.0.0.1", 0, reserved_clients=20)
    guard(device, [], remote_halt=True)
    places = device._server.admission
    assert (places.max_clients, places.reserved_clients) == (MAX_CLIENTS, 20)


def test_bad_entry() -> None:
    with pytest.raises(StartError, match="--allow: 'nonsense' is neither an address") as caught:
        guard(Bare("127.0.0.1", 0), ["10.0.0.1", "nonsense"], remote_halt=True)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("host", "allow", "each", "warnings"),
    [
        ("127.0.0.1", [], None, 0),
        ("0.0.0.0", [], MAX_CLIENTS_PER_ADDRESS, 1),
        ("", [], MAX_CLIENTS_PER_ADDRESS, 1),
        ("0.0.0.0", ["127.0.0.1"], MAX_CLIENTS_PER_ADDRESS, 0),
    ],
)
async def test_looking_outside(
    host: str,
    allow: list[str],
    each: int | None,
    warnings: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = Bare(host, 0)
    guard(device, allow, remote_halt=True)
    async with serving(device):
        look_outside(device)
    assert device._server.admission.max_clients_per_address == each
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == warnings
