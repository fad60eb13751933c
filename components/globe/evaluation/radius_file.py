"""globe-radius.json: the radius of a model's answers, beside its checkpoint's manifest, and how it gets there and is used.

The file may be added to a finished checkpoint, and replaced: it is no part of the checkpoint's digest. It says which question it
was calibrated for, and holds for no other: another prompt or decoding makes other answers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from globe import storage
from globe.answer.prompt import prompt_sha256
from globe.asking.answers import Location
from globe.asking.recipe import DECODING, AskingRecipe
from globe.console import tell
from globe.errors import GlobeError, InputError
from globe.evaluation.reports import METRICS_FILE
from globe.figures.predictions import PREDICTIONS_FILE, read_predictions
from globe.figures.radius import ANYWHERE_KM, LEVEL_PERCENT, Radius, calibrate
from globe.files import file_sha256, json_text
from globe.models.checkpoints import RADIUS_FILE, Checkpoint
from globe.run.question import QUESTION_FILE

DECIDES = tuple(name for name in DECODING if name != "max_tokens")
"""What decides answers beside model, prompt and picture; a limit on tokens only decides how many are complete."""
DIGEST, PROMPT_SHA256 = "model_digest", "prompt_sha256"
NAMED = {DIGEST, PROMPT_SHA256, "temperature", "samples"}
"""What a radius must say of its question; one that does not might be any model's, or count another kind of confidence."""


def calibrate_evaluation(folder: Path, level_percent: float = LEVEL_PERCENT) -> Radius:
    """Calibrate the radius of the model that an evaluation asked.

    Args:
        folder: What `globe evaluate` wrote.
        level_percent: Share of the answers that must lie within their radius.

    Raises:
        InputError: There are no predictions, or too few with a position and a confidence.
    """
    records = read_predictions(folder)
    try:
        radius = calibrate(records, level_percent)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    asked = _told(folder / QUESTION_FILE)
    manifest = _told(folder / METRICS_FILE).get("manifest")
    asked |= manifest if isinstance(manifest, dict) else {}
    data = {"predictions_sha256": file_sha256(folder / PREDICTIONS_FILE)}
    if dataset := asked.get("dataset_digest") or asked.get("dataset"):
        data["dataset_digest"] = str(dataset)
    return radius.model_copy(update={"question": _question(asked), "data": data})


def _told(path: Path) -> dict[str, Any]:
    """A file beside the predictions; empty where it says nothing."""
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def _question(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Which model was asked what, as far as it is known."""
    question = {name: asked[name] for name in DECIDES if asked.get(name) is not None}
    if digest := asked.get(DIGEST) or asked.get("checkpoint"):
        question[DIGEST] = str(digest)
    if asked.get(PROMPT_SHA256) or asked.get("prompt"):
        question[PROMPT_SHA256] = str(asked.get(PROMPT_SHA256) or prompt_sha256(str(asked["prompt"])))
    return question


def write_radius(radius: Radius, folder: Path | str) -> str:
    """Write a radius into a folder, and into the bucket that the folder mirrors, if it does.

    Returns:
        Where it lies.
    """
    place = f"{storage.stored_at(folder)}/{RADIUS_FILE}"
    storage.write_text(place, json_text(radius.model_dump()))
    return place


def add_radius(radius: Radius, checkpoint: Checkpoint) -> str:
    """Write a radius beside the manifest of the checkpoint that it was calibrated for.

    Returns:
        Where it lies.

    Raises:
        InputError: It was calibrated for another model, or for one that the evaluation does not know.
    """
    asked = radius.question.get(DIGEST, "")
    if asked != checkpoint.digest:
        known = f"asked checkpoint {asked[:12]}" if asked else "does not say which checkpoint it asked"
        raise InputError(
            f"{checkpoint.manifest or checkpoint.uri}: is checkpoint {checkpoint.digest[:12]}, and the evaluation {known}; "
            "evaluate this one first"
        )
    return write_radius(radius, Path(checkpoint.manifest).parent)


def publish_radius(checkpoint: Checkpoint, evaluation: Path, store: Path) -> str:
    """Put the radius of a finished evaluation beside the checkpoint that a run has made.

    Args:
        checkpoint: The checkpoint.
        evaluation: The evaluation's folder, with predictions.jsonl.
        store: Where stages keep their results; nothing is written to a folder elsewhere, which is the user's own.

    Returns:
        What came of it, in one line; it never fails, since the checkpoint is as good without.
    """
    if not Path(checkpoint.manifest).resolve().is_relative_to(store.resolve()):
        return f"radius: {checkpoint.manifest} is not in the store; globe calibrate {evaluation} --checkpoint FOLDER adds it"
    try:
        radius = calibrate_evaluation(evaluation)
        # The evaluation of this run asked this checkpoint, whether or not its server knew the digest.
        radius.question.setdefault(DIGEST, checkpoint.digest)
        return f"radius: {covered(radius.measured)}; {add_radius(radius, checkpoint)}"
    except (GlobeError, OSError) as error:
        return f"radius: none, because {error}"


def covered(measured: Mapping[str, Any]) -> str:
    """What a radius was measured to cover, in one line."""
    low, high = measured["ci95"]
    return (
        f"calibrated on {measured['calibrated_on']} answers, it covers {measured['coverage_percent']:.1f}% of "
        f"{measured['measured_on']} others (95% interval {low:.1f} to {high:.1f}), {measured['level_percent']:g}% promised"
    )


def read_radius(checkpoint: Checkpoint | None) -> Radius | None:
    """The radius beside a checkpoint's manifest; None if there is none.

    Raises:
        InputError: The file cannot be read as one.
    """
    if checkpoint is None or not checkpoint.manifest:
        return None
    place = f"{storage.stored_at(Path(checkpoint.manifest).parent)}/{RADIUS_FILE}"
    if not storage.exists(place):
        return None
    try:
        return Radius.model_validate_json(storage.read_text(place))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}; globe calibrate makes a new one"
        ) from None


def radius_of(location: Location, checkpoint: Checkpoint | None, recipe: AskingRecipe) -> dict[str, Any]:
    """The radius of one answer.

    Args:
        location: The answer.
        checkpoint: The model that gave it, if its manifest is on this machine.
        recipe: How it was asked, with the final prompt.

    Returns:
        radius_km and radius_level_percent; empty where the answer has no position or confidence, the checkpoint no radius, or one
        for another question.
    """
    radius = radius_for(checkpoint, recipe)
    return radius_at(location, radius) if radius else {}


def radius_for(checkpoint: Checkpoint | None, recipe: AskingRecipe) -> Radius | None:
    """The radius of a checkpoint's answers to one question; None where it has none, or (which is told) one for another."""
    try:
        radius = read_radius(checkpoint)
    except (GlobeError, OSError) as error:
        tell(f"no radius: {error}")
        return None
    if radius is None or checkpoint is None:
        return None
    asked = _question({DIGEST: checkpoint.digest, "prompt": recipe.question, **recipe.model_dump(include=set(DECIDES))})
    if NAMED - radius.question.keys() or not radius.question.items() <= asked.items():
        tell(f"no radius: the one beside the checkpoint was calibrated for another question ({RADIUS_FILE})")
        return None
    return radius


def radius_at(location: Location, radius: Radius) -> dict[str, Any]:
    """The radius of one answer; empty where the answer has no position or no confidence of the kind that decides."""
    said = location.confidence if radius.by == "answer_probability" else location.agreement
    if location.lat_deg is None or said is None:
        return {}
    return {"radius_km": radius.of(said, location.level == "country"), "radius_level_percent": radius.level_percent}


def radius_text(answer: Mapping[str, Any]) -> str:
    """An answer's radius for people, rounded up to two digits, so that it still keeps its word; empty without one."""
    km, level = answer.get("radius_km"), answer.get("radius_level_percent")
    if km is None or level is None:
        return ""
    if km >= ANYWHERE_KM:
        return f"anywhere on Earth, if {level:g}% are to be right"
    km = max(1.0, km)
    step = 10 ** max(0, math.floor(math.log10(km)) - 1)
    return f"within {math.ceil(km / step) * step:,} km with {level:g}%"
