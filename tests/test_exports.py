"""Every name that a door promises is there, and every public module can be imported by itself."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import unittest.mock

import pytest

import katcp

DOORS = sorted(
    module.name
    for module in pkgutil.iter_modules(katcp.__path__, "katcp.")
    if not module.name.split(".")[-1].startswith("_")
)


@pytest.mark.parametrize("door", ["katcp", *DOORS])
def test_a_door_has_what_it_promises(door: str) -> None:
    module = importlib.import_module(door)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert hasattr(module, name), f"{door}.__all__ names {name}"


@pytest.mark.parametrize("door", DOORS)
def test_a_door_can_be_the_first_import(door: str) -> None:
    code = f"import importlib; importlib.import_module({door!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_import_katcp_brings_the_submodules_along() -> None:
    code = (
        "import katcp; "
        "katcp.client, katcp.compat, katcp.core, katcp.inspecting_client, katcp.ioloop_manager, "
        "katcp.kattypes, katcp.object_proxies, katcp.resource, katcp.resource_client, "
        "katcp.sampling, katcp.sensortree, katcp.server"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_everything_may_be_imported_with_an_asterisk() -> None:
    code = (
        "from katcp import *; "
        "Sensor, Message, DeviceServer, BlockingClient, KATCPClientResource, BooleanSensorTree, "
        "client, core, kattypes.Int, resource_client, server.BASE_REQUESTS"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_import_katcp_needs_no_package_of_the_programs() -> None:
    code = (
        "import sys, katcp; "
        "print([m for m in ('click', 'rich', 'prompt_toolkit', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "path",
    ["katcp.core.time", "katcp.server.time", "katcp.ioloop_manager.time"],
)
def test_suites_may_patch_the_clock_where_they_used_to(path: str) -> None:
    with unittest.mock.patch(f"{path}.time", return_value=12345.0):
        assert katcp.Sensor.integer("x").read().timestamp == 12345.0


def test_suites_may_patch_chance_where_they_used_to() -> None:
    with unittest.mock.patch("katcp.inspecting_client.random.random", return_value=1.0):
        assert katcp.inspecting_client.ExponentialRandomBackoff(2, 9).delay == 2.0
