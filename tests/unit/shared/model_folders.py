"""Small folders that look like a model's, and checkpoints made of them."""

from pathlib import Path
from typing import Any

from globe.models.checkpoints import Checkpoint
from globe.models.publish import publish_checkpoint


def model(folder: Path, weights: bytes = b"weights") -> Path:
    """A folder with the files of a model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def publish(folder: Path, **changes: Any) -> Checkpoint:
    """Make it a checkpoint."""
    return publish_checkpoint(folder, **({"base_model": "b", "recipe": "r", "parent": "p", "step": 3} | changes))
