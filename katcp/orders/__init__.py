"""Orders: batches of reads and writes, with an outcome for each."""

__all__: list[str] = []
