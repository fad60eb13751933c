"""The shape of a vision-language model: the numbers of its config.json that decide how much memory and time it takes.

Its parameters are counted here from these numbers; the tests compare the counts with models that transformers builds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from globe import storage
from globe.errors import GlobeError, InputError
from globe.models.checkpoints import MANIFEST_FILE, read_checkpoint
from globe.training.model_parts import INTERNVL, QWEN, TextShape, VisionShape

SHAPES_FILE = Path(__file__).with_name("shapes.yaml")
USUAL = {QWEN: "qwen2.5-vl-7b", INTERNVL: "internvl3-8b"}
"""The shipped shape that a recipe's architecture is taken for where no model is named."""


@dataclass(frozen=True)
class ModelShape:
    """A model's shape."""

    name: str
    text: TextShape
    vision: VisionShape

    @property
    def parameters(self) -> int:
        """All its parameters."""
        return self.text.parameters + self.vision_parameters

    @property
    def vision_parameters(self) -> int:
        """Those of the vision tower and of what joins it to the language model."""
        return self.vision.tower + self.vision.aligner(self.text.hidden)

    @property
    def kv_bytes_a_token(self) -> int:
        """Bytes of the rollout engine's cache for one token, in bfloat16."""
        return 2 * 2 * self.text.layers * self.text.kv_width


def model_shape(model: str) -> ModelShape:
    """The shape of a model: by its config.json, or a shipped one by its name.

    Args:
        model: Folder or s3:// URI of a model or checkpoint, or the name of a shipped shape, such as `qwen2.5-vl-3b`.

    Raises:
        InputError: There is no config.json, or it is none of a model whose shape is known here.
    """
    if model in known_shapes():
        return shape_of(model, known_shapes()[model])
    place = model.rstrip("/")
    if not storage.exists(f"{place}/config.json") and storage.exists(f"{place}/{MANIFEST_FILE}"):
        place = read_checkpoint(Path(place)).uri.rstrip("/")
    try:
        content = json.loads(storage.read_text(f"{place}/config.json"))
    except (GlobeError, ValueError, OSError) as error:
        names = ", ".join(known_shapes())
        raise InputError(f"model {model}: no config.json to be read ({error}); give a model's folder, or {names}") from None
    return shape_of(model, content)


@cache
def known_shapes() -> Mapping[str, Mapping[str, Any]]:
    """The shipped shapes by name, each as in a config.json."""
    shapes: dict[str, Mapping[str, Any]] = yaml.safe_load(SHAPES_FILE.read_text(encoding="utf-8"))
    return shapes


def usual_shape(model_type: str, recipe_name: str) -> ModelShape:
    """The shape of the model that a recipe was written for, where none is named.

    Args:
        model_type: The recipe's architecture.
        recipe_name: The recipe's name or path, which says so if it is not the usual size.

    Raises:
        InputError: No shape of this architecture is shipped.
    """
    stem = Path(recipe_name).stem
    name = "tiny" if stem == "demo" else "qwen2.5-vl-3b" if "3b" in stem.split("-") else USUAL.get(model_type, "")
    if not name:
        raise InputError(f"--model: missing, and no shape of {model_type} is known; give the folder of a model")
    return model_shape(name)


def shape_of(name: str, config: Mapping[str, Any]) -> ModelShape:
    """The shape that a config.json describes.

    Args:
        name: What to call it.
        config: The file's content; the language model's numbers are in `text_config`, or beside it in older files.

    Raises:
        InputError: It lacks a number, or is of an architecture that is not known here.
    """
    kind = str(config.get("model_type", ""))
    if kind not in (QWEN, INTERNVL):
        raise InputError(f"model {name}: its config.json is of {kind or 'no model_type'}; plans know {QWEN} and {INTERNVL}")
    try:
        text = {**config, **config.get("text_config", {})}
        tied = config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
        vision = config["vision_config"]
        return ModelShape(name, _text(text, bool(tied)), _internvl(config, vision) if kind == INTERNVL else _qwen(vision))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"model {name}: its config.json lacks {error}") from None


def _text(config: Mapping[str, Any], tied: bool) -> TextShape:
    return TextShape(
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        kv_heads=int(config["num_key_value_heads"]),
        vocabulary=int(config["vocab_size"]),
        tied=tied,
    )


def _qwen(config: Mapping[str, Any]) -> VisionShape:
    return VisionShape(
        architecture=QWEN,
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        layers=int(config.get("depth", 32)),  # the defaults of transformers, which older files leave out
        heads=int(config.get("num_heads", 16)),
        patch=int(config.get("patch_size", 14)),
        merge=int(config.get("spatial_merge_size", 2)),
        frames=int(config.get("temporal_patch_size", 2)),
    )


def _internvl(config: Mapping[str, Any], vision: Mapping[str, Any]) -> VisionShape:
    return VisionShape(
        architecture=INTERNVL,
        hidden=int(vision["hidden_size"]),
        intermediate=int(vision["intermediate_size"]),
        layers=int(vision["num_hidden_layers"]),
        heads=int(vision["num_attention_heads"]),
        patch=_edge(vision.get("patch_size", 14)),
        merge=round(1 / float(config.get("downsample_ratio", 0.5))),
        frames=1,
        tile=_edge(vision.get("image_size", 448)),
        qkv_bias=bool(vision.get("attention_bias", False)),
    )


def _edge(size: Any) -> int:
    return int(size[0] if isinstance(size, list | tuple) else size)
