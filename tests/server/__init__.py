"""Tests of `katcp.server`, a file for each of its rooms, over real sockets."""
