"""Devices that a file describes, in YAML or TOML, rather than a class.

A device file says which sensors there are and where their values come from (a simulation, a
command, a file, another device), and which requests there are and what they do.
"""

from katcp.device_files._device import FileDevice, device_class
from katcp.device_files._grammar import schema
from katcp.device_files._problems import DeviceFileError, Place, Problem
from katcp.device_files._read import is_device_file, read_device_file
from katcp.device_files._spec import DeviceSpec

__all__ = [
    "DeviceFileError",
    "DeviceSpec",
    "FileDevice",
    "Place",
    "Problem",
    "device_class",
    "is_device_file",
    "read_device_file",
    "schema",
]
