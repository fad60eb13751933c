"""The evaluation recipe: how a model is asked, scored and judged."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, field_validator

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


def _range_of_percent(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= ends[0] <= ends[1] <= 100:
        raise ValueError(f"{ends[0]:g} to {ends[1]:g} is no range of percent; write [LOW, HIGH]")
    return ends


class EvaluationRecipe(AskingRecipe):
    """How a model is asked, and how its answers are scored and judged; the seed is also the bootstrap's."""

    max_unusable_percent: float = Field(default=1.0, ge=0, le=100)
    """Share of `globe evaluate --dataset`'s rows that may be missing, unreadable, duplicate or badly placed; more stops it."""
    bootstrap_rounds: int = Field(default=1000, ge=1, le=100_000)
    limit: NonNegativeInt = 0
    """Ask about so many pictures only, drawn by `globe.evaluation.first_look`; 0 for all."""
    expected: dict[str, Annotated[tuple[float, float], AfterValidator(_range_of_percent)]] = Field(default_factory=dict)
    """What to expect of the model that this recipe is for: the range of the percentage within 25 km, by name of the data set."""
    gate: GateRecipe = GateRecipe()
