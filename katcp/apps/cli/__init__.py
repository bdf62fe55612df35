"""The program ``katcp-cli``: talks to a device, from a prompt or a script."""

from katcp.apps.cli._commands import main

__all__ = ["main"]
