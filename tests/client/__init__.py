"""Tests of katcp.client, a file for each room."""
