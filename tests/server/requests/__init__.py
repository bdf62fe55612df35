"""Tests of the standard requests, a file for each family."""
