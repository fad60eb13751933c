"""What is too much for memory and need not outlive the process, in a SQLite database without a journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

CACHE_KIB = 1024
"""What SQLite keeps in memory; what a part of a source makes never leaves it."""


def scratch_database(path: Path | str = "", cache_kib: int = CACHE_KIB) -> sqlite3.Connection:
    """Open a database in which nothing is safe from a crash, and which is quick for it.

    Transactions are the caller's. Only one thread may use it at a time, but not always the one that opened it.

    Args:
        path: Its file; "" is one without a name, which goes with the process.
        cache_kib: How much of it is kept in memory.
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for setting in (f"cache_size = -{cache_kib}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
        database.execute(f"PRAGMA {setting}")
    return database
