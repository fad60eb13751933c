"""The arms: which data SFT learns from, which rewards GRPO is given, and how one of them is trained and measured."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from globe.curation.curation import curation
from globe.curation.recipe import CurationRecipe
from globe.data.recipe import SourceRecipe
from globe.data.source import TOY, source
from globe.demo.truth import load_truth
from globe.evaluation.baselines import baselines
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import BASE
from globe.figures.metrics import name_matches
from globe.figures.predictions import read_predictions
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, Checkpoint, read_checkpoint
from globe.recipes.load import load_recipe
from globe.rewards import LOCALIZABILITY
from globe.run.stage import StageResult
from globe.training.grpo import REWARD_MODEL_NAME, grpo
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe
from globe.training.reward_model import reward_model
from globe.training.sft import sft
from tests.benchmarks.learning.grades import RAW, SINGLE, VERIFIED, graded
from tests.benchmarks.learning.judge_server import served

RECIPE = "demo"
ONE, TWO, THREE = "one", "two", "three"
REWARDS = {ONE: ("accuracy",), TWO: ("accuracy", "visual_precision"), THREE: ("accuracy", "visual_precision", LOCALIZABILITY)}
"""Beside `format`, which every arm has. Weights are the recipe's."""


@dataclass(frozen=True)
class Arm:
    """What one model of a seed is trained with: a grade of data, and the rewards if GRPO follows."""

    grade: str
    rewards: str = ""


ARMS = {
    "sft_verified": Arm(VERIFIED),
    "grpo_two": Arm(VERIFIED, TWO),
    "grpo_three": Arm(VERIFIED, THREE),
    "grpo_one": Arm(VERIFIED, ONE),
    "sft_raw": Arm(RAW),
    "grpo_raw": Arm(RAW, TWO),
    "sft_single": Arm(SINGLE),
    "grpo_single": Arm(SINGLE, TWO),
}
START = {name: f"sft_{arm.grade}" for name, arm in ARMS.items() if arm.rewards}
"""The arm that each GRPO arm starts from, and whose accuracy it is compared with."""


class Seed:
    """One world with its teachers, and the models trained on it. Whatever an earlier call finished is found again.

    Args:
        number: Seed of the world, of the first weights and of every training.
        folder: Where results are kept.
        overrides: Values that replace the demo recipes', such as {"grpo.max_steps": 60}.
    """

    def __init__(self, number: int, folder: Path, overrides: dict[str, Any]) -> None:
        self.number = number
        self.store = folder / "store"
        self._folder = folder / f"seed-{number}"
        self._overrides = overrides

    def measure(self, arm: Arm) -> dict[str, float]:
        """Held-out figures of an arm's model, in percent: city (within 25 km), country, dusk (city at dusk), day."""
        model = self._trained(arm)
        recipe = self._recipe(EvaluationRecipe, "evaluation")
        shown = {"recipe": recipe, "max_pixels": self._recipe(SftRecipe, "sft").max_pixels}
        result = baselines(base=model, start=model, test=self._data / "test", store=self.store, **shown)
        truths = load_truth(self._world)
        records = read_predictions(result.outcome.path("folder") / BASE)
        near = {record["id"]: (record["distance_km"] if record["distance_km"] is not None else 1e9) <= 25 for record in records}
        dusk = [near[key] for key in near if truths[key].dusk]
        day = [near[key] for key in near if truths[key].localizable and not truths[key].dusk]
        figures = {
            "city": list(near.values()),
            "country": [name_matches(record)[0] for record in records],
            "dusk": dusk,
            "day": day,
        }
        return {name: 100 * sum(values) / len(values) for name, values in figures.items()}

    def _trained(self, arm: Arm) -> Checkpoint:
        start = _checkpoint(
            sft(
                base_model=self._base,
                data=graded(
                    arm.grade,
                    self._world,
                    self._data,
                    self._recipe(CurationRecipe, "curation"),
                    self._folder / arm.grade,
                ),
                recipe_name=RECIPE,
                recipe=self._recipe(SftRecipe, "sft"),
                store=self.store,
            )
        )
        if not arm.rewards:
            return start
        recipe = self._recipe(GrpoRecipe, "grpo")
        names = (*REWARDS[arm.rewards], "format")
        recipe = recipe.model_copy(update={"rewards": {name: recipe.rewards[name] for name in names}})
        with ExitStack() as stack:
            judge = self._judge if LOCALIZABILITY in names else None
            url = stack.enter_context(served(judge, REWARD_MODEL_NAME)) if judge else ""
            return _checkpoint(
                grpo(
                    policy=start,
                    data=self._data,
                    judge=judge,
                    reward_url=url,
                    recipe_name=RECIPE,
                    recipe=recipe,
                    store=self.store,
                )
            )

    @cached_property
    def _world(self) -> Path:
        return source(source=TOY, recipe=self._recipe(SourceRecipe, "source"), store=self.store).outcome.path("data")

    @cached_property
    def _data(self) -> Path:
        recipe = self._recipe(CurationRecipe, "curation")
        made = curation(data=self._world, teachers="simulated", recipe_name=RECIPE, recipe=recipe, store=self.store)
        return made.outcome.path("data")

    @cached_property
    def _base(self) -> Checkpoint:
        return _checkpoint(base_model(model=TINY, seed=self.number, store=self.store))

    @cached_property
    def _judge(self) -> Checkpoint:
        recipe = self._recipe(RewardModelRecipe, "reward_model")
        return _checkpoint(
            reward_model(base_model=self._base, data=self._data, recipe_name=RECIPE, recipe=recipe, store=self.store)
        )

    def _recipe(self, model: Any, stage: str) -> Any:
        own = {name.partition(".")[2]: value for name, value in self._overrides.items() if name.startswith(f"{stage}.")}
        return load_recipe(model, stage, RECIPE, {"seed": self.number, **own})


def read_overrides(texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE texts, with values in JSON."""
    pairs = (text.partition("=") for text in texts)
    return {name: json.loads(value) for name, _, value in pairs}


def _checkpoint(result: StageResult) -> Checkpoint:
    return read_checkpoint(result.outcome.path("checkpoint"))
