"""Values that outlive the process: SQLite behind a thread of its own."""

__all__: list[str] = []
