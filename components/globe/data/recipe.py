"""The source recipe: how many pictures to draw or read."""

from pydantic import Field, PositiveInt

from globe.recipes.base import Recipe, Seed


class SourceRecipe(Recipe):
    """Settings of stage source, and of the demo's tiny model."""

    toy_pictures: PositiveInt = 2100
    """Pictures that the toy world draws."""
    max_photos: int = Field(default=0, ge=0)
    """How many photos to read at most; 0 reads all."""
    seed: Seed = 0
    """Seed of the toy world, and of the tiny model's random weights."""
