"""Pages of what a policy answered while it was trained: each one file that needs no network and runs nothing.

The texts are a model's, so nobody knows what is in them: the template escapes every one, and a page has a bounded size.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import escape

from globe.errors import InputError
from globe.files import write_json
from globe.report.page import write_page
from globe.report.pictures import thumbnail
from globe.report.text import ABSENT, clean, place_or_position, words
from globe.training.samples import INDEX_FILE, SAMPLES, Answer, Group

NEWEST_FILE = "newest.json"
"""What the newest page shows, for the page of the training's curves."""
GROUPS = 8
"""Prompts of a step that are shown."""
ANSWER_CHARS = 3000
BUDGET_BYTES = 1_500_000
"""Of all texts and pictures of a page, escaped; with style and tags it stays below 2 MB."""
TAGS_BYTES = 300
"""About what the template writes around an answer, and around each of its rewards."""


def write_samples_page(folder: Path, step: int, groups: Sequence[Group]) -> None:
    """Write the page of a step, and an index of all that there are.

    Args:
        folder: Where the pages go.
        step: The step.
        groups: Its prompts with their answers.
    """
    shown = {"step": step, **_within_budget(groups)}
    write_page(folder / f"step-{step:06d}.html", "samples.html", {"samples": shown})
    write_json(folder / NEWEST_FILE, shown)
    pages = sorted((path.name for path in folder.glob("step-*.html")), reverse=True)
    steps = [{"name": name, "step": int(name.removeprefix("step-").removesuffix(".html"))} for name in pages]
    write_page(folder / INDEX_FILE, "samples_index.html", {"pages": steps})


def newest_samples(folder: Path) -> dict[str, Any] | None:
    """What the newest page of a training's folder shows; None if it has none."""
    path = folder / SAMPLES / NEWEST_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _within_budget(groups: Sequence[Group]) -> dict[str, Any]:
    left, shown = BUDGET_BYTES, []
    for group in groups[:GROUPS]:
        card: dict[str, Any] = {"image": _image(group.picture), "truth": _truth(group.truth), "answers": [], "cut": 0}
        left -= len(card["image"]) + len(card["truth"])
        for answer in group.answers:
            entry = _entry(answer)
            left -= _size(entry)
            if left < 0:
                break
            card["answers"].append(entry)
        card["cut"] = len(group.answers) - len(card["answers"])
        if left < 0 and not card["answers"]:
            break
        shown.append(card)
    return {"groups": shown, "cut": len(groups) - len(shown)}


def _entry(answer: Answer) -> dict[str, Any]:
    scores = [
        {
            "name": words(one.name),
            "score": ABSENT if one.score is None else f"{one.score:.2f}",
            "reason": clean(one.reason, 300),
        }
        for one in answer.scores
    ]
    advantage = ABSENT if answer.advantage is None else f"{answer.advantage:+.2f}".replace("-", "−")
    return {"text": clean(answer.text, ANSWER_CHARS), "advantage": advantage, "scores": scores}


def _size(entry: dict[str, Any]) -> int:
    texts = [entry["text"], *(one["reason"] for one in entry["scores"])]
    return sum(len(str(escape(text)).encode()) for text in texts) + TAGS_BYTES * (1 + len(entry["scores"]))


def _truth(row: dict[str, Any]) -> str:
    solution = row.get("solution") or {}
    return place_or_position(solution) if isinstance(solution, dict) else ""


def _image(picture: Path) -> str:
    try:
        return thumbnail(picture)
    except (InputError, OSError):
        return ""
