"""The evaluation recipe: how a model is asked, scored and judged."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, field_validator

from globe.answer.prompt import usable_prompt
from globe.recipes.base import Recipe, Seed


class GateRecipe(Recipe):
    """When a new model may replace the old one."""

    threshold_km: Literal["1", "25", "200", "750", "2500"] = "200"
    """Accuracy within this distance decides."""
    max_drop_percent: float = Field(default=0.0, ge=0)
    """Percentage points the new model may lose: it is rejected if the whole 95% interval of its loss exceeds this."""
    min_accuracy_percent: float = Field(default=0.0, ge=0, le=100)
    """Accuracy within `threshold_km` that every model must reach, whatever it is compared with; 0 requires none."""
    min_parsed_percent: float = Field(default=90.0, ge=0, le=100)
    """Share of the answers that must be readable."""

    @field_validator("threshold_km", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        """Accept a number as well as its text: YAML reads 25 as a number."""
        return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


class EvaluationRecipe(Recipe):
    """Decoding, requests and statistics of one evaluation."""

    prompt: Annotated[str, AfterValidator(usable_prompt)] = ""
    """The text sent after the picture; empty for the one in the model's manifest, or else that of `globe.answer.prompt`."""
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: PositiveInt = 1024
    """As many as in training, or long reasoning is cut off before the answer."""
    concurrency: PositiveInt = 32
    timeout_s: PositiveFloat = 120.0
    attempts: PositiveInt = 4
    bootstrap_rounds: int = Field(default=1000, ge=1, le=100_000)
    seed: Seed = 0
    gate: GateRecipe = GateRecipe()
