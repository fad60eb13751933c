"""The photos that a user names, one by one or by the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from globe.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def photos_in(given: Iterable[Path]) -> list[Path]:
    """The files, and those below the folders that look like photos, each folder's in the order of their names.

    Hidden files and folders are left out, and links to folders are not followed.

    Raises:
        InputError: There is no photo in a folder, or it cannot be read.
    """
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)  # what is not there is told with the others that cannot be used
            continue
        below = list(_below(path))
        if not below:
            raise InputError(f"{path}: no photo in this folder; photos end in {', '.join(ENDINGS)}")
        found += below
    return found


def _below(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None

    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield Path(root) / name
