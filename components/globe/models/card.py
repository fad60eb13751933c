"""The model card: what a trained model is, how to use it, and what it must not be used for, for people who have only its folder.

It follows the Hugging Face Hub's format. It holds no date, host, path or secret, and names, which anybody may have chosen, as
plain text only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import PurePath
from string import Template
from typing import Any, Literal

import yaml

from globe.markdown import escape, table
from globe.models.checkpoints import TINY, Checkpoint
from globe.models.licence import UNKNOWN, Licence

STAGES = {
    "sft": "supervised fine-tuning on answers with reasons that curation has verified",
    "grpo": "reinforcement learning with verifiable rewards (GRPO)",
    "reward_model": "supervised fine-tuning of an adapter, merged into the weights",
}
UNSAID = ("prompt", "environment", "ddp_timeout", "dataloader_num_workers")
"""Fields of a recipe that a card leaves out: said elsewhere, or about one machine."""
LONGEST_NAME_CHARS = 100
MOST_ORIGINS = 12
_HUB_CACHE = re.compile(r"(?:^|/)models--([\w.-]+)--([\w.-]+)/", re.ASCII)
_FIGURES = re.compile(r"loss|token_acc|reward|kl|rewards/[\w.-]+(/mean)?|completions/mean_length|eval_[\w.-]+", re.ASCII)
_TIMES = re.compile(r"eval_.*(runtime|per_second)|eval_.*speed.*")


@dataclass(frozen=True)
class Training:
    """What a training stage did."""

    stage: Literal["sft", "grpo", "reward_model"]
    recipe_name: str
    recipe: dict[str, Any]
    """Its values."""
    question: str
    """The text after the picture; of a reward model what comes before the answer that it judges."""
    answer_tokens: int
    """The longest answer."""
    data: str
    """Digest of the rows."""
    rows: int
    origins: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many rows have which value from where, such as the reasoning from a teacher."""
    steps: int = 0
    history: Sequence[dict[str, Any]] = ()
    """What was logged, step by step."""


def card(base: Checkpoint, licence: Licence, training: Training) -> str:
    """The card's text.

    Args:
        base: What training started from.
        licence: That model's.
        training: What was done.
    """
    kind = "judge" if training.stage == "reward_model" else "policy"
    values = {
        "metadata": yaml.safe_dump(_metadata(base, licence, training), sort_keys=False, allow_unicode=True),
        "name": _name(training.recipe_name.removesuffix(".yaml")),
        "base": _base_name(base),
        "method": STAGES[training.stage],
        "question": repr(training.question),
        "answer_tokens": training.answer_tokens,
        "context_tokens": training.recipe["max_length"] + training.answer_tokens,
        "recipe": _indented(
            yaml.safe_dump({name: value for name, value in training.recipe.items() if name not in UNSAID}, allow_unicode=True)
        ),
        "rows": f"{training.rows:,}",
        "steps": f"{training.steps:,}",
        "data": training.data,
        "parent": base.digest if base.files else UNKNOWN,
        "origins": _origins(training.origins),
        "figures": _figures(training.history),
        "licence": escape(licence.name),
        "licence_files": ", ".join(escape(path.name) for path in licence.files) or "none came with the base model",
    }
    return "".join(Template(_text(name)).substitute(values) for name in ("head", kind, "tail"))


def _text(name: str) -> str:
    return (files("globe.models") / "cards" / f"{name}.md").read_text(encoding="utf-8")


def _metadata(base: Checkpoint, licence: Licence, training: Training) -> dict[str, Any]:
    known = _HUB_CACHE.search(base.base_model)
    origin = {"base_model": f"{known[1]}/{known[2]}", "base_model_relation": "finetune"} if known else {}
    tags = ["image-geolocation", "globe", training.stage.replace("_", "-")]
    return {**licence.entries, "library_name": "transformers", "pipeline_tag": "image-text-to-text", **origin, "tags": tags}


def _base_name(base: Checkpoint) -> str:
    """What the base model is called: no path of somebody's machine."""
    if base.base_model == TINY:
        return "the demo's model (tiny, random weights)"
    known = _HUB_CACHE.search(base.base_model)
    return escape(f"{known[1]}/{known[2]}") if known else _name(base.base_model)


def _name(text: str) -> str:
    return escape(PurePath(text).name[:LONGEST_NAME_CHARS]) or UNKNOWN


def _origins(origins: dict[tuple[str, str], int]) -> str:
    most = sorted(origins.items(), key=lambda item: (-item[1], item[0]))[:MOST_ORIGINS]
    if not most:
        return "Where the rows are from is not recorded."
    return table(["Value", "From", "Rows:"], [[_name(value), _name(origin), f"{rows:,}"] for (value, origin), rows in most])


def _figures(history: Sequence[dict[str, Any]]) -> str:
    names = sorted({name for values in history for name in values if _FIGURES.fullmatch(name) and not _TIMES.fullmatch(name)})
    logged = {name: [float(values[name]) for values in history if name in values] for name in names}
    rows = [[escape(name), f"{values[0]:.4g}", f"{values[-1]:.4g}"] for name, values in logged.items()]
    return table(["Figure", "First logged:", "Last logged:"], rows) if rows else "Nothing was logged."


def _indented(text: str) -> str:
    """As a block of code that no line of the text can end."""
    return "\n".join(f"    {line}" for line in text.splitlines())
