"""What people call the models of a run.

Other runs may reuse a result while the same model plays another part in them: trained in one run, given to the next, the
promoted baseline of a third. So results know models only by part and digest, and titles belong to the run: its first task makes
them, and everything that people read uses them.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from globe import storage
from globe.models.checkpoints import MANIFEST_FILE

BASE, START, POLICY = "base", "start", "policy"
"""Parts: what everything started from, what GRPO starts from (if that is another model), and what is evaluated and judged."""
BASELINE = "baseline"
"""What the evaluation pipeline compares with."""
PROMOTED = "promoted"
"""The promoted model: as a part of a training run, and where an evaluation names what it compares with."""
PARTS = {BASE: "base model", START: "fine-tuned model", POLICY: "evaluated model", PROMOTED: "promoted model"}
"""What is true of a part in every run."""


def training_titles(*, sft: str, grpo: str) -> dict[str, str]:
    """Titles of the models of a training run.

    Args:
        sft: Whether SFT runs ("run"), its result is given ("given"), or there is none ("off").
        grpo: The same for GRPO.
    """
    words = {"run": "after", "given": "given for"}
    return {
        BASE: "before SFT" if sft == "run" else PARTS[BASE],
        START: f"{words[sft]} SFT" if sft in words else PARTS[START],
        POLICY: f"{words[grpo]} GRPO" if grpo in words else PARTS[POLICY],
    }


def evaluation_titles(model: str, baseline: str, served_as: str = "") -> dict[str, str]:
    """Titles of the models of a run of the evaluation pipeline.

    Args:
        model: Folder or s3:// URI of the model, or the name of one that is built.
        baseline: As the pipeline's parameter: a folder, "promoted", or empty.
        served_as: Name under which a server that is up serves it; empty if the run serves it.
    """
    return {POLICY: served_as or model_title(model), BASELINE: PARTS[PROMOTED] if baseline == PROMOTED else baseline}


def model_title(uri: str) -> str:
    """A model's name by the base model and recipe in its manifest; the folder's name if it has no manifest."""
    name = PurePosixPath(uri).name
    manifest = f"{uri.rstrip('/')}/{MANIFEST_FILE}"
    if not storage.exists(manifest):
        return name
    try:
        content = dict(json.loads(storage.read_text(manifest)))
    except (ValueError, TypeError):  # damaged: whoever reads the checkpoint says so
        return name
    base, recipe = PurePosixPath(str(content.get("base_model", ""))).name, PurePosixPath(str(content.get("recipe", ""))).name
    return f"{base} trained with {recipe}" if base and recipe else base or name


def baseline_titles(parts: Collection[str], titles: Mapping[str, str]) -> dict[str, str]:
    """Titles of the models that a policy is compared with, by part.

    Args:
        parts: Parts for which the baselines' result has figures.
        titles: The run's titles.
    """
    whole = titles.get(BASELINE)
    if not whole:
        return {part: titles.get(part, PARTS.get(part, part)) for part in parts}
    return {part: whole if len(parts) == 1 else f"{whole}, {PARTS.get(part, part)}" for part in parts}
