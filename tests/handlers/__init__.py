"""Tests of katcp.handlers, a file for each room."""
