"""Values that outlive the process: SQLite behind a thread of its own."""

from katcp.storage._database import Database
from katcp.storage._errors import StorageError

__all__ = ["Database", "StorageError"]
