"""Make a trained model's folder one that people can use without this package: what they find in it is enough.

Everything here follows from what was trained, and how: the same training writes the same bytes, wherever and whenever it runs.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe.files import write_atomically, write_json
from globe.models.card import Training, card
from globe.models.checkpoints import Checkpoint
from globe.models.licence import CARD_FILE, licence_of

GENERATION_FILE = "generation_config.json"
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens")
_PROCESSOR_FILES = {"processor_config.json": ("image_processor",), "preprocessor_config.json": ()}
"""Where the settings of the picture's processor lie in each file that may hold them."""


def make_usable(folder: Path, base: Checkpoint, training: Training) -> None:
    """Add to a model's folder what its weights do not say, before it is published.

    Args:
        folder: The folder, with weights, tokenizer and processor.
        base: What it was trained from; its licence applies.
        training: What was done.
    """
    _write_generation_settings(folder / GENERATION_FILE, training.answer_tokens)
    for name, keys in _PROCESSOR_FILES.items():
        if (folder / name).is_file():
            _limit_pictures(folder / name, keys, training.recipe["max_pixels"])
    licence = licence_of(base)
    for text in licence.files:
        (folder / text.name).unlink(missing_ok=True)  # it may be a second name of the trainer's file
        shutil.copyfile(text, folder / text.name)
    write_atomically(folder / CARD_FILE, card(base, licence, training))


def _write_generation_settings(path: Path, answer_tokens: int) -> None:
    """Greedy answers, as the model is evaluated: base models come with samplers and penalties of their own.

    Without a file there is nothing to replace: transformers then takes the tokens that end an answer from the model's
    configuration.
    """
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: known[name] for name in _TOKEN_IDS if known.get(name) is not None}
        write_json(path, kept | {"do_sample": False, "max_new_tokens": answer_tokens})


def _limit_pictures(path: Path, keys: tuple[str, ...], max_pixels: int) -> None:
    """Say how large the pictures were that it was trained on; models that cut pictures into tiles have no such limit."""
    content = json.loads(path.read_text(encoding="utf-8"))
    settings: Any = content
    for key in keys:
        settings = settings.get(key, {})
    size = settings.get("size")
    if not isinstance(size, Mapping) or not size.get("longest_edge"):
        return
    settings["size"] = {**size, "longest_edge": max_pixels, "shortest_edge": min(size.get("shortest_edge", 0), max_pixels)}
    if settings.get("max_pixels"):  # as earlier versions of transformers wrote it
        settings["max_pixels"] = max_pixels
    write_json(path, content)
