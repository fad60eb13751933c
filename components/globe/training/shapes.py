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

SHAPES_FILE = Path(__file__).with_name("shapes.yaml")
QWEN, INTERNVL = "qwen2_5_vl", "internvl"
USUAL = {QWEN: "qwen2.5-vl-7b", INTERNVL: "internvl3-8b"}
"""The shipped shape that a recipe's architecture is taken for where no model is named."""
COLOURS = 3


@dataclass(frozen=True)
class TextShape:
    """The language model, a Qwen2."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """Whether the output layer is the input embedding."""

    @property
    def head_width(self) -> int:
        """Width of an attention head."""
        return self.hidden // self.heads

    @property
    def kv_width(self) -> int:
        """Width of the keys, and of the values, of one token and layer."""
        return self.kv_heads * self.head_width

    @property
    def embedding(self) -> int:
        """Parameters of the embedding; the output layer has as many."""
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        attention = 2 * self.hidden * self.hidden + self.hidden + 2 * (self.hidden + 1) * self.kv_width
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """All its parameters, the output layer included."""
        return self.embedding * (1 if self.tied else 2) + self.layers * self.layer + self.hidden

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA on all its linear layers but the output."""
        attention = 2 * (2 * self.hidden) + 2 * (self.hidden + self.kv_width)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))


@dataclass(frozen=True)
class VisionShape:
    """The vision tower, and the layers that join it to the language model."""

    architecture: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    patch: int
    """Pixels along a patch's edge."""
    merge: int
    """Patches along the edge of what becomes one token."""
    frames: int
    """Pictures that a patch spans: Qwen's also takes videos, and sees a photo twice."""
    tile: int = 0
    """Pixels along the edge of a tile; 0 where pictures are not cut into tiles."""
    qkv_bias: bool = True

    @property
    def pixels_a_token(self) -> int:
        """Pixels that become one token."""
        return (self.patch * self.merge) ** 2

    @property
    def layer(self) -> int:
        """Parameters of one layer."""
        attention = 4 * self.hidden * self.hidden + (4 if self.qkv_bias else 1) * self.hidden
        if self.architecture == INTERNVL:  # two layer norms with biases, two layer scales, an MLP without gate
            return attention + 6 * self.hidden + 2 * self.hidden * self.intermediate + self.intermediate + self.hidden
        return attention + 2 * self.hidden + 3 * self.hidden * self.intermediate + 2 * self.intermediate + self.hidden

    @property
    def tower(self) -> int:
        """Parameters of the vision tower."""
        patch = COLOURS * self.frames * self.patch**2 * self.hidden
        if self.architecture == INTERNVL:  # a bias, the class token, and a position for each patch and for that token
            patch += self.hidden * (3 + (self.tile // self.patch) ** 2)
        return patch + self.layers * self.layer

    def adapters(self, rank: int, text: int) -> int:
        """Parameters of LoRA on all its linear layers and those that join it to a language model of a hidden size."""
        merged = self.hidden * self.merge**2
        if self.architecture == INTERNVL:
            layer, joining = 8 * self.hidden + 2 * (self.hidden + self.intermediate), merged + 3 * text
        else:
            layer, joining = 6 * self.hidden + 3 * (self.hidden + self.intermediate), 3 * merged + text
        return rank * (self.layers * layer + joining)

    def aligner(self, text: int) -> int:
        """Parameters of the layers that join it to a language model of a hidden size."""
        merged = self.hidden * self.merge**2
        if self.architecture == INTERNVL:
            return 2 * merged + (merged + 1) * text + (text + 1) * text
        return self.hidden + (merged + 1) * merged + (merged + 1) * text


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
