"""The licence of a model's weights goes where they go: what the base model's folder says about it, and its files."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from globe.models.checkpoints import Checkpoint

CARD_FILE = "README.md"
UNKNOWN = "unknown"
"""Hugging Face's word for it."""
_FILES = re.compile(r"(?i)(licen[cs]e|notice|copying|use_policy)([._-][\w.-]*)?")
_SUFFIXES = ("", ".txt", ".md", ".rst")
_LARGEST_BYTES = 1 << 20
_LONGEST_HEAD_CHARS = 16_384
_TEXTS = {
    "license": re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}"),
    "license_name": re.compile(r"[\w.+ -]{1,100}", re.ASCII),
    "license_link": re.compile(r"(https://[\w./%+-]{1,300}|[\w.-]{1,100})", re.ASCII),
}
"""What each of a model card's entries about its licence may look like; what looks otherwise is not passed on."""


@dataclass(frozen=True)
class Licence:
    """What is known of a model's licence."""

    entries: dict[str, str]
    """`license`, and maybe `license_name` and `license_link`, as in a model card of the Hugging Face Hub."""
    files: list[Path] = field(default_factory=list)
    """Its texts."""

    @property
    def name(self) -> str:
        """What it is called; `unknown` if nobody says."""
        return self.entries.get("license_name") or self.entries["license"]


def licence_of(model: Checkpoint) -> Licence:
    """Read the licence of a model from its folder; nothing is guessed from the model's name.

    Args:
        model: A base model with the files that its makers published beside the weights, or a checkpoint of ours.
    """
    folder = model.path
    names = sorted(model.files) if model.files else sorted(path.name for path in folder.iterdir())
    files = [folder / name for name in names if _FILES.fullmatch(name) and Path(name).suffix.lower() in _SUFFIXES]
    entries = _entries(folder / CARD_FILE) if CARD_FILE in names else {}
    return Licence({"license": UNKNOWN} | entries, [path for path in files if _is_text(path)])


def _is_text(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST_BYTES


def _entries(card: Path) -> dict[str, str]:
    """What a model card's head says about its licence; anybody may have written it."""
    try:
        with card.open(encoding="utf-8") as file:
            head = file.read(_LONGEST_HEAD_CHARS)
        start, text, _ = head.split("---\n", 2)
        content = yaml.safe_load(text) if not start.strip() else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    if not isinstance(content, dict):
        return {}
    given = {name: content.get(name) for name in _TEXTS}
    return {name: text for name, text in given.items() if isinstance(text, str) and _TEXTS[name].fullmatch(text)}
