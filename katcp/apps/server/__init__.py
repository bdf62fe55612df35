"""The program ``katcp-server``: serves a device."""

from katcp.apps.server._program import main

__all__ = ["main"]
