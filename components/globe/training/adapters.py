"""LoRA adapters: the trainer keeps them alone, for a resume, and what a stage publishes is the model with them merged in."""

from collections.abc import Callable
from pathlib import Path

from globe.models.weights import add_adapter, load_model
from globe.run.events import Reporter
from globe.training.recipe import TrainRecipe
from globe.training.runs import copy_model

SHARD_SIZE = "5GB"
"""Of the merged weights' files, as ms-swift saves them: transformers would write one of up to 50 GB."""


def writer(recipe: TrainRecipe, base_model: Path, reporter: Reporter) -> Callable[[Path, Path], None]:
    """How to make a model's folder (second argument) of the trainer's last checkpoint (first argument).

    Args:
        recipe: The recipe, which says what was trained.
        base_model: Folder of the model that the training started from.
        reporter: Told when adapters are merged, which takes a while.
    """
    if recipe.tuner_type == "full":
        return copy_model

    def merge(adapter: Path, target: Path) -> None:
        reporter.note("merging the adapter")
        merge_adapter(base_model, adapter, target)

    return merge


def merge_adapter(base_model: Path, adapter: Path, output: Path) -> None:
    """Merge a LoRA adapter into its base, and save the model with its processor, ready for vLLM.

    Args:
        base_model: Folder of the base model.
        adapter: Folder of the adapter.
        output: Folder to write.

    Raises:
        GlobeError: The adapter's weights do not fit.
    """
    from transformers import AutoProcessor

    merged = add_adapter(load_model(base_model), adapter).merge_and_unload()
    merged.save_pretrained(output, max_shard_size=SHARD_SIZE)
    AutoProcessor.from_pretrained(base_model).save_pretrained(output)
