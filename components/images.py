"""The references of the images, read from images/pins.yaml, the only place that names them."""

from pathlib import Path

import yaml

NAMES = ("curation", "train", "serve", "evaluate")
PINS = Path(__file__).parents[1] / "images" / "pins.yaml"


def image(name: str) -> str:
    """The reference of an image, by its name.

    Raises:
        KeyError: No such image.
    """
    return str(yaml.safe_load(PINS.read_text(encoding="utf-8"))[name])
