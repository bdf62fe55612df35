"""KATCP device servers and inspecting clients."""

from katcp._version import __version__

__all__ = ["__version__"]
