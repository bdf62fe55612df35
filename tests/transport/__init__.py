"""Tests of `katcp.transport`."""
