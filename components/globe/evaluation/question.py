"""An evaluation's folder belongs to one question: answers to two of them are never mixed in it."""

import json
from pathlib import Path
from typing import Any

from globe.errors import InputError
from globe.files import write_json

QUESTION_FILE = "question.json"
MAX_TOLD_CHARS = 60


def claim(folder: Path, question: dict[str, Any], answers: str) -> None:
    """Make a folder that of a question, or check that it is.

    Args:
        folder: The folder; made by the caller.
        question: Everything that decides the answers, by name. What is not known is empty, and equals anything.
        answers: Name of the file with answers: one that is there without a question is nobody's.

    Raises:
        InputError: The folder holds answers to another question; says what differs.
    """
    path = folder / QUESTION_FILE
    if path.is_file():
        earlier = _read(path)
        different = [
            _told(name, earlier.get(name), value) for name, value in question.items() if _differs(name, earlier, question)
        ]
        if different:
            raise InputError(f"{folder}: holds answers to another question ({'; '.join(different)}); give another folder")
        question = question | {name: value for name, value in earlier.items() if not question.get(name)}
    elif (folder / answers).exists():
        raise InputError(
            f"{folder}: holds {answers} without {QUESTION_FILE}, so nobody knows what was asked; give another folder"
        )
    write_json(path, question)


def _differs(name: str, earlier: dict[str, Any], now: dict[str, Any]) -> bool:
    if name == "root" and earlier.get("checkpoint") and now.get("checkpoint"):
        return False  # the digest says what it is, wherever it lies
    known = [earlier.get(name), now[name]]
    return "" not in known and None not in known and known[0] != known[1]


def _told(name: str, before: Any, now: Any) -> str:
    before, now = (" ".join(str(value).split()) for value in (before, now))
    if len(before) > MAX_TOLD_CHARS or len(now) > MAX_TOLD_CHARS:  # such as prompts, which may begin alike
        same = next((i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now)))
        before, now = (_around(text, same) for text in (before, now))
    return f"{name.replace('_', ' ')} was {before!r} and is now {now!r}"


def _around(text: str, at: int) -> str:
    start = max(0, at - MAX_TOLD_CHARS // 3)
    part = text[start : start + MAX_TOLD_CHARS]
    return f"{'...' if start else ''}{part}{'...' if start + MAX_TOLD_CHARS < len(text) else ''}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give another folder") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not what an evaluation writes there; give another folder")
    return content
