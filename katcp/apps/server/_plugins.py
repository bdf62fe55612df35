"""From the word DEVICE of the command line to a class."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from katcp.apps.server._errors import MISUSE, StartError, describe
from katcp.device_files import device_class, is_device_file
from katcp.server import DeviceServerBase

#: Devices that the program brings along: word -> (module, class).
OWN = {
    "host": ("katcp.apps.server._host", "HostDevice"),
    "demo": ("katcp.apps.server._demo", "DemoDevice"),
}


def find_class(device: str) -> type[DeviceServerBase]:
    """Return the class that `device` names.

    Parameters
    ----------
    device : str
        ``host``, ``demo``, a device file (``.yaml``, ``.yml``, ``.toml``),
        ``package.module:Class`` or ``path/to/file.py:Class``. Modules are looked for in the
        current directory too; a file may import its neighbours.

    Raises
    ------
    StartError
        If there is no such class, or it is no device server.
    DeviceFileError
        If something is wrong with a device file.
    """
    if device in OWN:
        module_name, class_name = OWN[device]
        found: type[DeviceServerBase] = getattr(importlib.import_module(module_name), class_name)
        return found
    if is_device_file(device):
        return device_class(device)
    place, colon, class_name = device.rpartition(":")
    if not colon or not place or not class_name:
        raise StartError(
            "DEVICE is host, demo, package.module:Class or path/to/file.py:Class, or a device "
            f"file (.yaml, .toml), not {device!r}",
            MISUSE,
        )
    module = _load_file(place) if _is_path(place) else _load_module(place)
    return _class_in(module, place, class_name)


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place or os.sep in place


@contextlib.contextmanager
def _importing(place: str) -> Iterator[None]:
    """Tell whatever a user's module raises in one line."""
    try:
        yield
    except StartError:
        raise
    except (Exception, SystemExit) as error:
        raise StartError(f"importing {place} failed: {describe(error)}") from error


def _load_module(name: str) -> ModuleType:
    _look_in(Path.cwd())
    with _importing(name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            # A module that the user's one imports may be the missing one; that is another story.
            if name == missing or name.startswith(missing + "."):
                raise StartError(f"no module named {missing!r}") from error
            raise
        except TypeError as error:  # what `import_module` makes of names that begin with a dot
            if name.startswith("."):
                raise StartError(f"{name!r} is no name of a module") from error
            raise


def _load_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise StartError(f"no such file: {place}")
    # The name must not hide a module that the file, or the program, imports.
    name = f"katcp_device_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StartError(f"{place} is no Python file")
    _look_in(path.resolve().parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _importing(place):
        spec.loader.exec_module(module)
    return module


def _look_in(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _class_in(module: ModuleType, place: str, class_name: str) -> type[DeviceServerBase]:
    found: object = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
        if found is None:
            others = _device_classes(module)
            hint = f"; device servers in it: {', '.join(others)}" if others else ""
            raise StartError(f"{place} has no class {class_name!r}{hint}")
    if not (isinstance(found, type) and issubclass(found, DeviceServerBase)):
        raise StartError(
            f"{place}:{class_name} is no device server, that is, no subclass of DeviceServer or "
            "AsyncDeviceServer"
        )
    return found


def _device_classes(module: ModuleType) -> list[str]:
    """Return the names of the device servers that a module defines itself."""
    return sorted(
        name
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, DeviceServerBase) and value.__module__ == module.__name__
    )
