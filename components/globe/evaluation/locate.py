"""Locate one photo: the command a user types after a run."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from globe.asking.answers import Location, located
from globe.asking.call import Caller, CallFailed
from globe.asking.client import Served
from globe.asking.reply import Reply
from globe.asking.samples import consistent
from globe.console import tell, waiting
from globe.data.images import reencode
from globe.errors import GlobeError
from globe.evaluation.answering import answering, given, require_one
from globe.evaluation.radius_file import radius_of
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.usage import evaluation_recipe, names_by_stage


def locate(
    photo: Path,
    *,
    url: str = "",
    model: str = "",
    checkpoint: Path | None = None,
    recipe: str = "",
    overrides: Mapping[str, Any] | None = None,
    prompt: str = "",
) -> dict[str, Any]:
    """Say where a photo was taken; progress goes to stderr.

    Args:
        photo: JPEG, PNG or WEBP file; its EXIF rotation is applied, and its metadata never leaves this machine.
        url: Base URL of a served model, usually ending in /v1.
        model: Name of the served model; empty for the server's first one.
        checkpoint: Folder of a checkpoint, or of any Hugging Face model, to serve just for this question, instead of `url`.
        recipe: Evaluation recipe, serving recipe, or the name of both; empty for what the model's manifest says.
        overrides: Values that replace the evaluation recipe's.
        prompt: The user turn after the picture; empty for the recipe's, the manifest's or the default one.

    Returns:
        status, country, city, lat_deg, lon_deg, reasoning, confidence and the model's text; radius_km and radius_level_percent
        where the model's checkpoint is on this machine and a radius was calibrated for the same question.

    Raises:
        InputError: The photo cannot be used, or neither or both of `url` and `checkpoint` are given.
        GlobeError: The server does not answer.
    """
    require_one(url, checkpoint)
    image = reencode(photo)
    names = names_by_stage(recipe)
    place = given(url, model, checkpoint, names.get("serving", ""))
    if place.serving:  # a mistake in the recipe is reported before the server starts
        evaluation_recipe(place.checkpoint, None, names.get("evaluation", ""), overrides or {})
        tell("serving it for this one question; `globe serve` keeps it running for more")
    with answering(place) as (base_url, served, made):
        settings, why = evaluation_recipe(made, served, names.get("evaluation", ""), overrides or {}, prompt)
        tell(f"asked with {why}")
        with waiting(f"{base_url}: waiting for the answer"):
            location = asyncio.run(_ask(base_url, served, image, settings))
    if location.status == "call_failed":
        raise GlobeError(f"{base_url}: {location.error}")
    if location.status == "cut_off":
        tell(
            f"the answer was cut off at {settings.max_tokens} tokens; allow more with --set max_tokens={2 * settings.max_tokens}"
        )
    return asdict(location) | radius_of(location, made, settings)


async def _ask(url: str, served: Served, image: bytes, recipe: EvaluationRecipe) -> Location:
    async with Caller(url, served.name, recipe, served.key, served.digest) as caller:

        async def once(sample: int) -> Location:
            try:
                return located(await caller.call(image, sample))
            except CallFailed as failed:  # the user is waiting: the reason helps more than minutes of further tries
                return located(Reply(error=failed.reason))

        return consistent(await asyncio.gather(*map(once, range(recipe.samples))))
