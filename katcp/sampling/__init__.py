"""Sampling strategies of a server's clients, driven by its loop."""

from katcp.sampling._table import SamplingTable, Subscriber

__all__ = ["SamplingTable", "Subscriber"]
