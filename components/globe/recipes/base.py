"""What all recipes have in common."""

import math
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What numpy, torch and vLLM all take as a seed."""


class Recipe(BaseModel):
    """A stage's settings: unknown fields are refused, and so are infinities and NaN, however deeply nested."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)  # YAML makes a number of `--set sft.environment.X=1`

    @field_validator("*")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        if not all(math.isfinite(number) for number in _floats(value)):
            raise ValueError("must be a finite number")
        return value


def _floats(value: Any) -> Iterable[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _floats(inner)
