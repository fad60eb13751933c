"""Turn dataset rows into the JSON lines that ms-swift trains on."""

import hashlib
import json
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from globe.answer.prompt import PROMPT
from globe.answer.render import render
from globe.data.images import check_pixels
from globe.data.rows import Row
from globe.errors import InputError
from globe.files import json_line
from globe.rewards.localizability import question

SETS = {"sft": "sft", "reward_model": "reward_model", "grpo": "pool"}
"""Which of curation's datasets a stage trains on."""
SCRATCH = ("data",)
"""Subfolder of a stage's folder that `export` writes to; it is made anew each time, so it never leaves the machine."""
FILES_AT_ONCE = 16
"""A network folder answers each of the calls that make a file after a millisecond or more, however small the file is."""
VERDICTS = {True: "yes", False: "no"}


def answer_row(row: Row, picture: Path, prompt: str = "") -> dict[str, Any]:
    """Supervised row: the picture, the prompt (the default one when empty), the teacher's reasoning and the place."""
    return _messages(prompt or PROMPT, picture, render(row.reasoning, row.country, row.city))


def verdict_row(row: Row, picture: Path) -> dict[str, Any]:
    """Reward-model row: the picture, a completion about it, and whether the picture can be located."""
    if row.localizable is None:
        raise ValueError(f"row {row.id} has no verdict")
    return _messages(question(render(row.reasoning, row.country, row.city)), picture, VERDICTS[row.localizable])


def prompt_row(row: Row, picture: Path, prompt: str = "") -> dict[str, Any]:
    """GRPO row: the picture and the prompt (the default one when empty), with the truth that the rewards compare against."""
    truth = {
        "solution": {"country": row.country, "city": row.city, "lat_deg": row.lat_deg, "lon_deg": row.lon_deg},
        "entities": row.entities,
    }
    return _messages(prompt or PROMPT, picture, None) | {"row": json.dumps(truth, ensure_ascii=False), "picture": str(picture)}


def export(rows: Iterable[tuple[Row, Any]], path: Path, pictures: Path) -> int:
    """Write rows as JSON lines, and their pictures as files beside them, several at once.

    Args:
        rows: Pairs of a row and the function above that turns it into ms-swift's shape.
        path: The JSON-lines file.
        pictures: Folder for the image files; those that it already holds are not written again.

    Returns:
        How many rows were written.

    Raises:
        InputError: A picture has too many pixels, or is none; or one is held out, and a set to train on should not have it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8") as file, Pictures(pictures) as stored:
        for row, shape in rows:
            if row.split == "test":
                raise InputError(f"row {row.id!r}: its split is test, and this set is trained on; give one without such rows")
            file.write(json_line(shape(row, stored.put(row))))
            count += 1
    return count


class Pictures:
    """Writes the pictures of rows as files, several at once. Use as a context manager: they are all there when it ends well.

    Args:
        folder: Where they go; those that it already holds are not written again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._begun = set[str]()
        self._writing: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(FILES_AT_ONCE)

    def __enter__(self) -> "Pictures":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder = self._folder.resolve()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._pool:
            while self._writing and kind is None:
                self._writing.popleft().result()

    def put(self, row: Row) -> Path:
        """Have a row's picture written.

        Returns:
            Its file, which is complete when the context ends.

        Raises:
            InputError: This picture, or one before it, has too many pixels, or is none.
        """
        # Named by content: an id may hold anything, a path separator included.
        name = hashlib.sha256(row.image).hexdigest()[:32] + _suffix(row.image)
        picture = self._folder / name
        if name not in self._begun:  # else two would write to one file
            self._begun.add(name)
            self._writing.append(self._pool.submit(_write_picture, row, picture))
        if len(self._writing) > 2 * FILES_AT_ONCE:  # not all pictures are to be in memory
            self._writing.popleft().result()
        return picture


def _write_picture(row: Row, picture: Path) -> None:
    """It appears complete: one cut short by a kill or a full disk would be kept for ever."""
    if picture.exists():
        return
    check_pixels(f"row {row.id!r}: its picture", row.image)
    partial = picture.with_suffix(".partial")
    partial.write_bytes(row.image)
    partial.rename(picture)


def _messages(prompt: str, picture: Path, answer: str | None) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"<image>{prompt}"}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages, "images": [str(picture)]}


def _suffix(image: bytes) -> str:
    if image.startswith(b"\x89PNG"):
        return ".png"
    return ".webp" if image[8:12] == b"WEBP" else ".jpg"
