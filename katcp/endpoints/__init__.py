"""Endpoints: named values that clients can read, set and command."""

__all__: list[str] = []
