"""Which image a stage runs in: read from images/pins.yaml, the only place that says so."""

from pathlib import Path

import yaml

NAMES = ("curation", "train", "serve", "evaluate")
PINS = Path(__file__).parents[1] / "images" / "pins.yaml"


def image(name: str) -> str:
    """Reference of an image by its folder's name.

    Raises:
        KeyError: No such image.
    """
    return str(yaml.safe_load(PINS.read_text(encoding="utf-8"))[name])
