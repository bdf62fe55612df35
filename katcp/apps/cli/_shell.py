"""The shell: typed lines, or a script."""

from __future__ import annotations

import asyncio

from katcp.apps.cli._script import run_script


def run_shell(host: str, port: int, timeout: float | None, verbose: bool) -> int:
    """Run the shell; return the exit status."""
    return asyncio.run(run_script(host, port, timeout, verbose))
