"""Tests of katcp.sampling, a file for each room."""
