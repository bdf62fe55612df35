"""What can be wrong with what a proxy is told to do."""

from __future__ import annotations


class ProxyError(ValueError):
    """A device that cannot be shown as it was asked for; the text says why, in one line."""
