"""DEVICE of the command line, and the class that it names."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from katcp.apps.server._demo import DemoDevice
from katcp.apps.server._errors import StartError
from katcp.apps.server._host import HostDevice
from katcp.apps.server._plugins import find_class

DEVICES = """
from katcp.server import AsyncDeviceServer
import neighbour

class Fan(AsyncDeviceServer):
    speed = neighbour.SPEED
    class Inner(AsyncDeviceServer):
        pass

class NoDevice:
    pass

function = print
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a module of devices; afterwards Python knows nothing of it."""
    before = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "fans.py").write_text(DEVICES)
    (tmp_path / "neighbour.py").write_text("SPEED = 7\n")
    yield tmp_path
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def test_words_of_the_program() -> None:
    assert find_class("host") is HostDevice
    assert find_class("demo") is DemoDevice


def test_class_in_a_file(place: Path) -> None:
    cls = find_class(f"{place}/fans.py:Fan")
    assert cls.__name__ == "Fan"
    assert vars(cls)["speed"] == 7  # a neighbour of the file was imported


def test_nested_class(place: Path) -> None:
    assert find_class(f"{place}/fans.py:Fan.Inner").__name__ == "Inner"


def test_class_in_a_module_of_the_current_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert find_class("fans:Fan").__name__ == "Fan"
    assert find_class("fans.py:Fan").__name__ == "Fan"


@pytest.mark.parametrize("device", ["foo", "", ":", "x:", ":X", "Host"])
def test_what_names_nothing_is_misuse(device: str) -> None:
    with pytest.raises(StartError, match="DEVICE is host, demo") as caught:
        find_class(device)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("no_such_module_here:X", "no module named 'no_such_module_here'"),
        ("katcp.no_such_part:X", "no module named 'katcp.no_such_part'"),
        (".relative:X", "'.relative' is no name of a module"),
        ("{place}/none.py:X", "no such file: {place}/none.py"),
        ("{place}:X", "no such file: {place}"),
        ("{place}/fans.py:Fun", "{place}/fans.py has no class 'Fun'; device servers in it: Fan"),
        ("{place}/fans.py:NoDevice", "{place}/fans.py:NoDevice is no device server"),
        ("{place}/fans.py:function", "{place}/fans.py:function is no device server"),
        ("{place}/neighbour.py:X", "{place}/neighbour.py has no class 'X'"),
        ("math:pi", "math:pi is no device server"),
    ],
)
def test_what_is_not_there(place: Path, device: str, text: str) -> None:
    with pytest.raises(StartError) as caught:
        find_class(device.format(place=place))
    assert str(caught.value).startswith(text.format(place=place))
    assert caught.value.status == 1


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import no_such_thing_either", "ModuleNotFoundError: No module named"),
        ("x = (", "SyntaxError: '(' was never closed"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
    ],
)
def test_module_that_cannot_be_imported(place: Path, source: str, text: str) -> None:
    path = place / "broken.py"
    path.write_text(source)
    with pytest.raises(StartError) as caught:
        find_class(f"{path}:X")
    message = str(caught.value)
    assert message.startswith(f"importing {path} failed: {text}")
    assert "\n" not in message
    assert caught.value.__cause__ is not None  # for --verbose
