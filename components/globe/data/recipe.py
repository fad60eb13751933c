"""The source recipe: how many pictures to draw or read, and how many may be lost."""

from pydantic import Field, PositiveInt

from globe.recipes.base import Recipe, Seed


class SourceRecipe(Recipe):
    """Settings of stage source, and of the demo's tiny model."""

    toy_pictures: PositiveInt = 2100
    """Pictures that the toy world draws."""
    max_photos: int = Field(default=0, ge=0)
    """How many photos to read at most; 0 reads all."""
    max_unusable_percent: float = Field(default=1.0, ge=0, le=100)
    """Share of the rows that may be missing, unreadable, duplicate or badly placed; more stops the run."""
    keep_remote: bool = False
    """Whether pictures farther than 100 km from any town are kept though nobody names their country: fit for scoring only."""
    seed: Seed = 0
    """Seed of the toy world, and of the tiny model's random weights."""
