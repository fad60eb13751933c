"""How much of a source is taken."""

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class SourceRecipe(BaseModel):
    """Settings of stage source, and of the demo's tiny model."""

    model_config = ConfigDict(extra="forbid")

    toy_pictures: PositiveInt = 2100
    """Pictures that the toy world draws."""
    max_photos: int = Field(default=0, ge=0)
    """Read so many photos at most; 0 reads all."""
    seed: int = 0
    """Seed of the toy world, and of the tiny model's random weights."""
