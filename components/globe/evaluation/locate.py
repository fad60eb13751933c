"""Locate one photo: the command a user types after a run."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from globe.data.images import reencode
from globe.errors import GlobeError, InputError
from globe.evaluation.client import LocateClient, Location
from globe.evaluation.recipe import EvaluationRecipe
from globe.serving.recipe import ServingRecipe
from globe.settings import load_recipe

MODEL_NAME = "globe"


def locate(
    photo: Path, *, url: str = "", model: str = "", checkpoint: Path | None = None, recipe: str = "demo"
) -> dict[str, Any]:
    """Say where a photo was taken.

    Args:
        photo: JPEG, PNG or WEBP file; its EXIF rotation is applied, its metadata never leaves this machine.
        url: Base URL of a served model, ending in /v1.
        model: Name of the served model; asked of the server when empty.
        checkpoint: Folder of a checkpoint to serve for this one question, instead of `url`.
        recipe: Evaluation and serving recipe.

    Returns:
        status, country, city, lat_deg, lon_deg, reasoning, confidence and the model's text.

    Raises:
        InputError: The photo cannot be used, or neither or both of `url` and `checkpoint` are given.
        GlobeError: The server does not answer.
    """
    if bool(url) == bool(checkpoint):
        raise InputError("give either --url of a served model or --checkpoint to serve one just now")
    image = reencode(photo)
    settings = load_recipe(EvaluationRecipe, "evaluation", recipe)
    with _server(checkpoint, recipe) if checkpoint else _given(url, model) as (base_url, name):
        location = asyncio.run(_ask(base_url, name, image, settings))
    if location.status == "call_failed":
        raise GlobeError(f"{base_url}: {location.text}")
    return asdict(location)


async def _ask(url: str, model: str, image: bytes, recipe: EvaluationRecipe) -> Location:
    client = LocateClient(
        url,
        model,
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        timeout_s=recipe.timeout_s,
        attempts=recipe.attempts,
    )
    async with client:
        served = await client.served_models()
        if model and model not in served:
            raise InputError(f"{url}: no model {model!r} there; it serves {', '.join(served)}")
        return await client.locate(image, model=model or served[0])


@contextmanager
def _given(url: str, model: str) -> Iterator[tuple[str, str]]:
    yield url, model


@contextmanager
def _server(checkpoint: Path, recipe: str) -> Iterator[tuple[str, str]]:
    from globe.serving.process import served
    from globe.training.checkpoints import read_checkpoint

    settings = load_recipe(ServingRecipe, "serving", recipe)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(read_checkpoint(checkpoint), MODEL_NAME, settings, Path(folder)) as server,
    ):
        yield server.url, server.name
