"""Contract of stage base model: what training starts from."""

from kfp import dsl

from components.contract import contract


@contract("train")
def base_model(model: str, seed: int, store: str, checkpoint: dsl.Output[dsl.Model]):
    """Check a given model folder, or build the demo's tiny one.

    Args:
        model: Folder of a Hugging Face model, or "tiny".
        seed: Seed of the tiny model's random weights.
        store: Folder that keeps the results of all stages.
        checkpoint: Manifest of the model.
    """
    from pathlib import Path

    from globe.artifacts import write_checkpoint
    from globe.training.base_model import base_model as stage

    write_checkpoint(checkpoint.path, stage(model=model, seed=seed, store=Path(store)))
