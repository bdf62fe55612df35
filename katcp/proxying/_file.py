"""The devices of a proxy in a YAML file."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from katcp.inspecting_client import check_strategy
from katcp.proxying._errors import ProxyError
from katcp.proxying._settings import ProxiedDevice, named_devices, parse_address

# The parser in C is ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Largest file that is read [bytes].
MAX_SIZE = 4 * 1024 * 1024


class _Problem(Exception):
    """What is wrong, and with which node."""

    def __init__(self, node: yaml.Node, text: str) -> None:
        super().__init__(text)
        self.node = node


def read_proxy_file(path: str | Path) -> list[ProxiedDevice]:
    """Read which devices a proxy is to show.

    Parameters
    ----------
    path : str or Path
        A YAML file with a table ``devices``: name of a device to address, or to a table with
        ``address`` and what else is to be said of it. A table ``defaults`` says that of all.

    Returns
    -------
    list of ProxiedDevice
        With a name each.

    Raises
    ------
    ProxyError
        If it cannot be read or something in it is wrong: ``FILE:LINE: what``.

    Examples
    --------
    ::

        defaults:
          without-sensors: ["*.debug.*"]
        devices:
          dome: dome.example.org:7147
          camera:
            address: 10.1.2.3:7147
            strategy: event-rate 0.1 60
            rename-sensors: {t: [temperature, ccd.temperature]}
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ProxyError(f"cannot read {path}: {error.strerror or error}") from None
    if len(data) > MAX_SIZE:
        raise ProxyError(f"{path} has more than {MAX_SIZE} bytes")
    try:
        root = yaml.compose(data, Loader=_LOADER)
        if root is None:
            raise ProxyError(f"{path} is empty; it has to have a table 'devices'")
        return _devices(root)
    except _Problem as problem:
        raise ProxyError(f"{path}:{problem.node.start_mark.line + 1}: {problem}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ProxyError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ProxyError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _devices(root: yaml.Node) -> list[ProxiedDevice]:
    tables = _table(root, {"defaults", "devices"})
    if "devices" not in tables:
        raise _Problem(root, "there is no table 'devices'")
    defaults: dict[str, Any] = {}
    if "defaults" in tables:
        entries = _table(tables["defaults"], _ATTRIBUTES.keys() - _NO_DEFAULT)
        defaults = {key.replace("-", "_"): _ATTRIBUTES[key](node) for key, node in entries.items()}
    devices: list[ProxiedDevice] = []
    for name, node in _table(tables["devices"]).items():
        try:
            devices.append(_device(name, node, defaults))
            named_devices([devices[-1]], devices[:-1])  # its line is at hand here
        except ProxyError as error:
            raise _Problem(node, f"device {name!r}: {error}") from None
    return named_devices(devices)


def _device(name: str, node: yaml.Node, defaults: dict[str, Any]) -> ProxiedDevice:
    if isinstance(node, yaml.ScalarNode):
        host, port = _at(node, parse_address, _text(node))
        return ProxiedDevice(host, port, name, **defaults)
    entries = _table(node, {"address", *_ATTRIBUTES})
    address = entries.pop("address", None)
    if address is None:
        raise _Problem(node, f"device {name!r} has no address")
    host, port = _at(address, parse_address, _text(address))
    options = dict(defaults)
    for key, value in entries.items():
        attribute = key.replace("-", "_")
        options[attribute] = _ATTRIBUTES[key](value)
        # Here, for the line of what is wrong.
        _at(value, lambda a=attribute: ProxiedDevice(host, port, **{a: options[a]}))
    return ProxiedDevice(host, port, name, **options)


def _at(node: yaml.Node, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function; tell where it was if it raises."""
    try:
        return function(*args)
    except ValueError as error:
        raise _Problem(node, str(error)) from None


def _table(node: yaml.Node, known: set[str] | None = None) -> dict[str, yaml.Node]:
    """Return the entries of a table; only of keys that are known, if these are given."""
    if not isinstance(node, yaml.MappingNode):
        raise _Problem(node, "a table is wanted here, 'key: value'")
    entries: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        key = _text(key_node)
        if key in entries:
            raise _Problem(key_node, f"{key!r} is here twice")
        if known is not None and key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; is {near[0]!r} meant?" if near else f"; known are {', '.join(sorted(known))}"
            raise _Problem(key_node, f"unknown key {key!r}{hint}")
        entries[key] = value
    return entries


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag == "tag:yaml.org,2002:null":
        raise _Problem(node, "text is wanted here")
    return str(node.value)


def _texts(node: yaml.Node) -> tuple[str, ...]:
    """Return a list of texts; one text is a list of one."""
    if isinstance(node, yaml.SequenceNode):
        return tuple([_text(each) for each in node.value])
    return (_text(node),)


def _names(node: yaml.Node) -> dict[str, str | tuple[str, ...]]:
    return {
        key: _texts(value) if isinstance(value, yaml.SequenceNode) else _text(value)
        for key, value in _table(node).items()
    }


def _seconds(node: yaml.Node) -> float:
    return float(_at(node, float, _text(node)))


def _strategy(node: yaml.Node) -> str:
    text = _text(node)
    _at(node, check_strategy, text)
    return text


#: Key -> what reads its value.
_ATTRIBUTES: dict[str, Callable[[yaml.Node], Any]] = {
    "prefix": _text,
    "request-prefix": _text,
    "sensors": _texts,
    "without-sensors": _texts,
    "requests": _texts,
    "without-requests": _texts,
    "rename-sensors": _names,
    "rename-requests": _names,
    "strategy": _strategy,
    "request-timeout": _seconds,
}
#: Keys that make no sense for several devices.
_NO_DEFAULT = {"prefix", "request-prefix"}
