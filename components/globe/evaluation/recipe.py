"""How a model is asked, scored and judged."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class GateRecipe(BaseModel):
    """When a new model may take the old one's place."""

    model_config = ConfigDict(extra="forbid")

    threshold_km: Literal["1", "25", "200", "750", "2500"] = "200"
    """Accuracy within this distance decides."""
    max_drop_percent: float = Field(default=0.0, ge=0)
    """Percentage points the new model may lose: it is rejected when the whole 95% interval of the loss lies beyond."""
    min_accuracy_percent: float = Field(default=0.0, ge=0, le=100)
    """Accuracy within the distance above that every model must reach, whatever it is compared with; 0 asks for none."""
    min_parsed_percent: float = Field(default=90.0, ge=0, le=100)
    """Answers that must be readable."""


class EvaluationRecipe(BaseModel):
    """Decoding, requests and statistics of one evaluation."""

    model_config = ConfigDict(extra="forbid")

    temperature: float = Field(default=0.0, ge=0)
    max_tokens: PositiveInt = 1024
    """As many as training allowed, or long reasoning loses its answer."""
    concurrency: PositiveInt = 32
    timeout_s: PositiveFloat = 120.0
    attempts: PositiveInt = 4
    bootstrap_rounds: PositiveInt = 1000
    seed: int = 0
    gate: GateRecipe = GateRecipe()
