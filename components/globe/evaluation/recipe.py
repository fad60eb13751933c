"""The evaluation recipe: how a model is asked, scored and judged."""

from typing import Literal

from pydantic import Field, PositiveInt, field_validator

from globe.asking.recipe import AskingRecipe
from globe.recipes.base import Recipe


class GateRecipe(Recipe):
    """When a new model may replace the old one."""

    threshold_km: Literal["1", "25", "200", "750", "2500"] = "25"
    """Accuracy within this distance decides; 25 km is the smallest that a city's name can reach."""
    margin_percent: float = Field(default=1.0, ge=0, le=100)
    """Percentage points the new model may lose: it is promoted if the 95% interval of its accuracy minus the old one's lies
    wholly above minus this, and rejected if wholly below. With 0 it must be better."""
    min_pictures: PositiveInt = 100
    """The least number of pictures on which a model is promoted, whatever its interval."""
    inconclusive_promotes: bool = False
    """Whether a model is also promoted when the interval leaves open whether it is worse, on at least `min_pictures`."""
    min_accuracy_percent: float = Field(default=0.0, ge=0, le=100)
    """Accuracy within `threshold_km` that every model must reach, whatever it is compared with; 0 requires none."""
    min_parsed_percent: float = Field(default=90.0, ge=0, le=100)
    """Share of the answers that must be readable."""

    @field_validator("threshold_km", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        """Accept a number as well as its text: YAML reads 25 as a number."""
        return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


class EvaluationRecipe(AskingRecipe):
    """How a model is asked, and how its answers are scored and judged; the seed is also the bootstrap's."""

    max_unusable_percent: float = Field(default=1.0, ge=0, le=100)
    """Share of `globe evaluate --dataset`'s rows that may be missing, unreadable, duplicate or badly placed; more stops it."""
    bootstrap_rounds: int = Field(default=1000, ge=1, le=100_000)
    gate: GateRecipe = GateRecipe()
