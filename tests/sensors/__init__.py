"""Tests of katcp.sensors, a file for each room."""
