"""Tests of katcp.inspecting_client, a file for each room."""
