"""The question that a gateway asks about a photo: the one that its checkpoint was trained and evaluated with.

A calibrated radius holds for that question only. So the prompt and the decoding are those of the checkpoint's manifest, whatever
a client might want; who wants another prompt asks /v1/chat/completions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from globe.asking.answers import Location
from globe.asking.call import decoding, turn
from globe.console import tell
from globe.evaluation.radius_file import radius_at, radius_for
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.usage import evaluation_recipe
from globe.figures.radius import Radius
from globe.gateway.settings import GatewaySettings
from globe.models.checkpoints import RADIUS_FILE, open_model


class Question:
    """What is asked, and what a checkpoint's radius says of the answers."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Read the checkpoint's manifest.

        Raises:
            InputError: There is no checkpoint in the folder, or its manifest cannot be read.
        """
        self._checkpoint = open_model(settings.checkpoint) if settings.checkpoint else None
        self._model = settings.model
        recipe, why = evaluation_recipe(self._checkpoint, None, "", {})
        tell(f"/locate asks with {why}")
        self._recipe = recipe.model_copy(update={"max_tokens": min(recipe.max_tokens, settings.max_tokens)})
        self._radius = lru_cache(maxsize=64)(self._find_radius)

    @property
    def digest(self) -> str:
        """Of the checkpoint; empty where no manifest says it."""
        return self._checkpoint.digest if self._checkpoint and self._checkpoint.manifest else ""

    def recipe(self, n: int, room: int = 0) -> EvaluationRecipe:
        """How so many answers are asked for; several need a temperature.

        Args:
            n: How many answers.
            room: Tokens that the engine has for question and answer together; 0 if it does not say.
        """
        recipe = self._recipe.drawn(n)
        if room and room < recipe.max_tokens:  # which vLLM would refuse
            return recipe.model_copy(update={"max_tokens": room})
        return recipe

    def requests(self, picture_url: str, n: int, room: int = 0) -> list[dict[str, Any]]:
        """The request for each answer: as an evaluation asks, with a seed of its own.

        Args:
            picture_url: The picture as a `data:` URL.
            n: How many answers.
            room: As for `recipe`.
        """
        recipe = self.recipe(n, room)
        shared = decoding(self._model, recipe) | {"logprobs": True}
        return [shared | turn(picture_url, recipe, sample) for sample in range(n)]

    def radius(self, location: Location, n: int, digest: str) -> tuple[float | None, float | None]:
        """The radius of an answer in km and its level in percent; None for both without a radius for this very question.

        Args:
            location: The answer.
            n: How many were asked for.
            digest: Of the checkpoint that gave it: another's radius says nothing of it.
        """
        radius = self._radius(n, self._radius_version()) if digest == self.digest else None
        found = radius_at(location, radius) if radius else {}
        return found.get("radius_km"), found.get("radius_level_percent")

    def _radius_version(self) -> tuple[int, int] | None:
        """What changes with the file of the radius, which may come or be replaced while a gateway runs; None without one."""
        try:
            state = (self._checkpoint.described_in / RADIUS_FILE).stat() if self._checkpoint else None
        except OSError:
            return None
        return (state.st_mtime_ns, state.st_size) if state else None

    def _find_radius(self, n: int, version: tuple[int, int] | None) -> Radius | None:
        return radius_for(self._checkpoint, self.recipe(n))
