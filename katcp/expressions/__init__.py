"""Formulas in texts, evaluated safely and within bounds."""

__all__: list[str] = []
