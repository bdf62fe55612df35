"""From a path to a `DeviceSpec`, or to all that is wrong with the file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from katcp.device_files._build import Builder
from katcp.device_files._forms import BAD
from katcp.device_files._forms_of_many import Fields
from katcp.device_files._grammar import NEEDED, OTHER_SECTIONS, SECTIONS
from katcp.device_files._problems import DeviceFileError, Place, Problem, Problems, hint, quoted
from katcp.device_files._spec import DeviceSpec
from katcp.device_files._templates import expand, expand_list
from katcp.device_files._toml import parse_toml
from katcp.device_files._tree import FileError, Node, Sequence, Table
from katcp.device_files._yaml import parse_yaml

#: Endings of the names of device files, and what reads them.
SUFFIXES = {".yaml": parse_yaml, ".yml": parse_yaml, ".toml": parse_toml}

#: Longest file taken [bytes].
MAX_SIZE = 4 * 1024 * 1024

_START = Place(1, 1)


def is_device_file(name: str) -> bool:
    """Tell whether a name is that of a device file, by its ending."""
    return Path(name).suffix.lower() in SUFFIXES


def read_device_file(path: str | os.PathLike[str]) -> DeviceSpec:
    """Read a device from a file in YAML (``.yaml``, ``.yml``) or TOML (``.toml``).

    Nothing that stands in the file is run. It may be done in any thread.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    DeviceFileError
        If the file cannot be read or describes no device; it has all that is wrong with it.
    """
    name = os.fspath(path)
    try:
        return _read(name, Path(path))
    except FileError as error:
        raise DeviceFileError(name, [error.problem]) from error
    except RecursionError as error:
        raise DeviceFileError(name, [Problem(_START, "nested too deep")]) from error


def _read(name: str, path: Path) -> DeviceSpec:
    problems = Problems()
    root = _parse(path)
    if not isinstance(root, Table):
        raise FileError(root.place, "a device file is a table with the key 'device'")
    sections: dict[str, Fields] = {}
    names: dict[str, set[str]] = {}
    for entry in root.entries:
        section = SECTIONS.get(entry.name)
        if section is None:
            guess = hint(entry.name, SECTIONS, OTHER_SECTIONS) or (
                f"; there are {', '.join(SECTIONS)}"
            )
            problems.add(entry.place, f"unknown section {quoted(entry.name)}{guess}")
            continue
        node = entry.node
        if entry.name != "device" and isinstance(node, Table):
            node = expand(_without_unquoted(node, problems), problems)
            names[entry.name] = {e.name for e in node.entries}
        if entry.name == "providers" and isinstance(node, Sequence):
            node = expand_list(node, problems)
        value = section.form.read(node, problems)
        if value is not BAD:
            sections[entry.name] = value
    if all(root.get(wanted) is None for wanted in NEEDED):
        text = SECTIONS["device"].text.partition(";")[0]
        problems.add(root.place, f"the section 'device' is missing: {text}")
    elif root.get("device") is None:
        sections["device"] = Fields(Table(root.place, ()))
        sections["device"]["name"] = _name_of(path)
    builder = Builder(problems, names.get("sensors", set()), path)
    spec = builder.device(sections)
    if problems or spec is None:
        raise DeviceFileError(name, problems.found)
    return spec


def _name_of(path: Path) -> str:
    """Return what a device is called that does not say it: as its file is."""
    return re.sub(r"[^A-Za-z0-9._\-]+", "-", path.stem).strip("-") or "store"


def _parse(path: Path) -> Node:
    parse = SUFFIXES.get(path.suffix.lower())
    if parse is None:
        raise FileError(_START, f"the name of a device file ends with {', '.join(SUFFIXES)}")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(_START, f"cannot read it: {reason}") from error
    if len(raw) > MAX_SIZE:
        raise FileError(_START, f"the file is longer than {MAX_SIZE // 1024**2} MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        place = Place(before.count(b"\n") + 1, column)
        raise FileError(place, "a byte that is no UTF-8") from error
    return parse(text)


def _without_unquoted(section: Table, problems: Problems) -> Table:
    """Return a section without names that TOML has taken apart at their dots, which are told."""
    kept = []
    for entry in section.entries:
        inner = entry.node.entries if isinstance(entry.node, Table) else ()
        parts = [e for e in inner if isinstance(e.node, Table) and e.node.get("type") is not None]
        if parts and entry.node.get("type") is None:  # type: ignore[union-attr]  # it is a table
            full = f"{entry.name}.{parts[0].name}"
            problems.add(
                parts[0].place, f'a name with dots has to be in quotation marks here: "{full}"'
            )
        else:
            kept.append(entry)
    return Table(section.place, tuple(kept))
