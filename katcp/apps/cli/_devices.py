"""Names for addresses, from a small file of the user's.

The file is ``katcp/devices.toml`` in ``$XDG_CONFIG_HOME`` or ``~/.config``::

    dbe = "dbe.example.org:7147"

    [receiver]
    address = "10.0.0.7:7148"
    description = "Cryostat on the roof"
    timeout = 20
    tls-ca = "/etc/katcp/authority.pem"
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._grammar import looks_like_address
from katcp.apps.cli._tls import TLS_OPTIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)

#: Keys of a device, with the type that its value is of.
_KEYS: dict[str, type | tuple[type, ...]] = {
    "address": str,
    "description": str,
    "timeout": (int, float),
    **{
        name.replace("_", "-"): bool if name in ("tls", "tls_no_verify") else str
        for name in TLS_OPTIONS
    },
}


@dataclass(frozen=True)
class NamedDevice:
    """A device that has a name.

    Attributes
    ----------
    name, address, description : str
    options : dict
        What else the file says: ``timeout`` [s] and those of TLS, named as parameters.
    """

    name: str
    address: str
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def devices_path() -> Path:
    """Return where the file is, if there is one."""
    config = os.environ.get("XDG_CONFIG_HOME")
    base = Path(config) if config and Path(config).is_absolute() else Path.home() / ".config"
    return base / "katcp" / "devices.toml"


def named_devices() -> dict[str, NamedDevice]:
    """Return the devices of the file; none if there is no file.

    Raises
    ------
    Misuse
        If it cannot be read, or makes no sense.
    """
    path = devices_path()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Misuse(f"{visible(str(path))}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misuse(f"{visible(str(path))}: {visible(str(error))}") from None
    try:
        return {name: _device(name, entry) for name, entry in content.items()}
    except ValueError as error:
        raise Misuse(f"{visible(str(path))}: {error}") from None


def _device(name: str, entry: Any) -> NamedDevice:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{quoted(name)} is no name: letters, digits, '.', '_' and '-'")
    if isinstance(entry, str):
        entry = {"address": entry}
    if not isinstance(entry, dict):
        raise ValueError(f"{name} is neither an address in quotes nor a table")
    for key, value in entry.items():
        kind = _KEYS.get(key)
        if kind is None:
            raise ValueError(f"{name}: unknown key {quoted(key)}: it is one of {', '.join(_KEYS)}")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name}: {key} has a value of the wrong type")
    rest = dict(entry)
    address = rest.pop("address", "")
    if not looks_like_address(address):
        raise ValueError(f"{name}: address is to be HOST:PORT, not {quoted(address)}")
    if rest.get("timeout", 1) <= 0:
        raise ValueError(f"{name}: timeout is to be positive")
    description = rest.pop("description", "")
    options = {key.replace("-", "_"): value for key, value in rest.items()}
    return NamedDevice(name, address, description, options)
