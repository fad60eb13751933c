"""Files that are whole or not there, and what their bytes are."""

import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader, also after a crash, sees the old one or the whole new one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two processes may write the same file
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def file_sha256(path: Path) -> str:
    """The sha256 of a file as hexadecimal digits, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
