"""KATCP device servers and inspecting clients, on Tornado's loop."""

from katcp._version import __version__

__all__ = ["__version__"]
