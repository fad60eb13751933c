"""How long a training's sequences are, in tokens: by its rows where they are there, else the longest that the recipe allows."""

from dataclasses import dataclass

from globe.answer.prompt import PROMPT
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.image_tokens import most_image_tokens
from globe.training.recipe import RewardModelRecipe, TrainRecipe
from globe.training.shapes import ModelShape

CHARS_A_TOKEN = 3.0
"""Of a prompt, on the safe side: English text has four or more."""
TEMPLATE_TOKENS = 32
"""Of a chat template around picture, prompt and answer: system turn, roles and control tokens."""
TYPICAL_TEXT = 450
"""Of question, reasoning and answer together."""
VERDICT_TOKENS = 2


@dataclass(frozen=True)
class Lengths:
    """Tokens of a sequence by part."""

    image: int
    prompt: int
    """The question, with the chat template's own tokens."""
    answer: int
    """What is learnt or sampled."""

    @property
    def total(self) -> int:
        """The whole sequence."""
        return self.image + self.prompt + self.answer


def longest(recipe: TrainRecipe, shape: ModelShape) -> Lengths:
    """The longest sequence that a recipe allows, for a model."""
    image, prompt = most_image_tokens(shape.vision, recipe.max_pixels), prompt_tokens(recipe)
    if isinstance(recipe, GrpoRecipe):
        return Lengths(image, prompt, recipe.max_completion_length)
    if isinstance(recipe, RewardModelRecipe):  # the prompt holds a whole answer
        return Lengths(image, max(prompt, recipe.max_length - image - VERDICT_TOKENS), VERDICT_TOKENS)
    return Lengths(image, prompt, max(0, recipe.max_length - image - prompt))


def typical(recipe: TrainRecipe, image: int, most: Lengths) -> Lengths:
    """A usual sequence with a picture of so many tokens: 450 tokens of text, if the recipe allows as many.

    Args:
        recipe: The recipe.
        image: Tokens of the picture.
        most: The longest sequence.
    """
    image, prompt = min(image, most.image), prompt_tokens(recipe)
    text = min(TYPICAL_TEXT, most.total - image)
    if isinstance(recipe, RewardModelRecipe):
        return Lengths(image, max(0, text - VERDICT_TOKENS), VERDICT_TOKENS)
    return Lengths(image, min(prompt, text), max(0, text - prompt))


def prompt_tokens(recipe: TrainRecipe) -> int:
    """About how many tokens the question has, with the chat template's own."""
    return round(len(getattr(recipe, "prompt", "") or PROMPT) / CHARS_A_TOKEN) + TEMPLATE_TOKENS
