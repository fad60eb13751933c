"""Stage base model: name what training starts from, so that every later result can say so."""

import shutil
from pathlib import Path

from globe.models.checkpoints import TINY, Usage
from globe.models.given import given
from globe.models.publish import publish_checkpoint
from globe.recipes.load import recipe_values
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage


def base_model(*, model: str, seed: int, store: Path, usage: Usage = Usage(), stage: str = "base_model") -> StageResult:
    """Check a given model folder, or build the demo's tiny model.

    Args:
        model: Folder of a Hugging Face model or of a checkpoint, or "tiny".
        seed: Seed of the tiny model's random weights.
        store: Where stages keep their results.
        usage: How the run serves and asks its models, for the manifest of a model that has none.
        stage: Name of the stage; `model` where a model is evaluated without training.

    Returns:
        The stage's result; output `checkpoint` is the folder of its manifest.
    """

    def build(folder: Path, reporter: Reporter) -> Outcome:
        from globe.demo.tiny_model import build_tiny_model, demo_texts

        # Built by hand it belongs to no run that names recipes; the full-size ones would ask more of it than it can do.
        demo = Usage(serving=recipe_values("serving", "demo"), evaluation=recipe_values("evaluation", "demo"))

        target = folder / "checkpoint"
        shutil.rmtree(target, ignore_errors=True)
        built = build_tiny_model(target, demo_texts(), seed=seed)
        checkpoint = publish_checkpoint(target, base_model=TINY, recipe="", parent="", step=0, usage=usage.over(demo))
        return Outcome(f"{built['parameters'] / 1e6:.2f} M parameters, random weights", {"checkpoint": checkpoint.uri}, built)

    if model != TINY:
        return given(stage=stage, model=model, store=store, usage=usage)
    settings = {"model": model, "seed": seed}
    return run_stage(stage, store=store, inputs={}, settings=settings, code=(__name__,), work=build)
