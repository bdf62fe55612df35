"""Tests of `katcp.proxying`."""
