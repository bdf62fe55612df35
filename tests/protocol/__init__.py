"""Tests of katcp.protocol, a file for each room."""
