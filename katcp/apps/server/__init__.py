"""The program ``katcp-server``: serves a device."""

from katcp.apps.server._options import main

__all__ = ["main"]
