"""Tests of katcp.aio, a file for each room."""
