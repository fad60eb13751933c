"""What a plan reads of a training's rows: how many there are, and how long the longest is in a model's own tokens."""

from pathlib import Path

from globe import storage
from globe.answer.prompt import PROMPT
from globe.answer.render import render
from globe.data.rows import provenance_of
from globe.data.shards import MANIFEST_NAME, Manifest, count_rows, is_dataset, read_columns
from globe.errors import GlobeError
from globe.rewards.localizability import question
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.image_tokens import most_image_tokens
from globe.training.lengths import VERDICT_TOKENS, Lengths
from globe.training.recipe import RewardModelRecipe, TrainRecipe
from globe.training.shapes import ModelShape

CHAT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|><|vision_end|>{}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
"""Both models' chat template, as far as it is not the picture's."""


def rows_of(dataset: str) -> int | None:
    """How many rows a dataset has, without fetching it; None if this is none.

    Args:
        dataset: Folder or s3:// URI.
    """
    try:
        return Manifest.model_validate_json(storage.read_text(f"{dataset.rstrip('/')}/{MANIFEST_NAME}")).rows
    except (GlobeError, ValueError):
        return None


def training_rows(recipe: TrainRecipe, dataset: Path) -> int | None:
    """How many rows a stage trains on, of a dataset on this machine; None if this is none.

    The reward model leaves out the rows of the split "test", shows each picture that cannot be located with another's text, too
    (but for those of rows that were made), and may repeat the rarer verdict.

    Raises:
        InputError: The dataset is damaged or of another format, so no stage could read it.
    """
    if not isinstance(recipe, RewardModelRecipe):
        return count_rows(dataset) if is_dataset(dataset) else None
    yes = no = 0
    for row in read_columns(dataset, ["split", "localizable", "provenance"]):
        if row["split"] == "train":
            yes += bool(row["localizable"])
            no += 0 if row["localizable"] else 1 if "made" in provenance_of(row) else 2
    return 2 * max(yes, no) if recipe.balance_classes else yes + no


def longest_of(recipe: TrainRecipe, shape: ModelShape, dataset: Path, tokenizer: Path) -> Lengths:
    """The longest sequence of a stage's rows, or of a prompt and the longest completion that GRPO allows.

    Args:
        recipe: The recipe.
        shape: The model's shape.
        dataset: The stage's dataset, on this machine.
        tokenizer: The model's `tokenizer.json`.
    """
    from tokenizers import Tokenizer  # late: only a plan with a model and rows needs it

    counter = Tokenizer.from_file(str(tokenizer))

    def count(text: str) -> int:
        return len(counter.encode(text, add_special_tokens=False).ids)

    image = most_image_tokens(shape.vision, recipe.max_pixels)
    asked = count(CHAT.format(getattr(recipe, "prompt", "") or PROMPT))
    if isinstance(recipe, GrpoRecipe):
        return Lengths(image, asked, recipe.max_completion_length)
    answers = (
        render(row["reasoning"], row["country"], row["city"]) for row in read_columns(dataset, ["reasoning", "country", "city"])
    )
    if isinstance(recipe, RewardModelRecipe):
        return Lengths(image, max((count(CHAT.format(question(text))) for text in answers), default=0), VERDICT_TOKENS)
    return Lengths(image, asked, max((count(text) + 1 for text in answers), default=0))  # and the turn's end
