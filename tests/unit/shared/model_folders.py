"""Small folders that look like a model's, checkpoints made of them, and real models whose folder has been tampered with."""

import json
import shutil
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


def with_code(tiny_model: Path, folder: Path, marker: Path) -> Path:
    """A real model whose JSON files name a Python file beside them, as loaders know it; that writes a marker when it runs."""
    shutil.copytree(tiny_model, folder)
    lines = (
        "from pathlib import Path",
        f"Path({str(marker)!r}).write_text('run')",
        "from transformers import Qwen2_5_VLConfig as Config, Qwen2_5_VLProcessor as Processor",
        "from transformers import Qwen2_5_VLForConditionalGeneration as Model",
    )
    (folder / "modeling_x.py").write_text("\n".join(lines) + "\n")
    mend(folder / "config.json", auto_map={"AutoConfig": "modeling_x.Config", "AutoModelForImageTextToText": "modeling_x.Model"})
    mend(folder / "processor_config.json", auto_map={"AutoProcessor": "modeling_x.Processor"})
    return folder


def mend(path: Path, **values: Any) -> None:
    """Set values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
