"""Stage base model: name what training starts from, so that every later result can say so."""

import shutil
from pathlib import Path

from globe.events import Reporter
from globe.stage import Outcome, StageResult, run_stage
from globe.training.checkpoints import publish_checkpoint

TINY = "tiny"
"""Name of the demo's model: real architecture, random weights, built on the spot."""


def base_model(*, model: str, seed: int, store: Path) -> StageResult:
    """Check a given model folder, or build the demo's tiny one.

    Args:
        model: Folder of a Hugging Face model, or "tiny".
        seed: Seed of the tiny model's random weights.
        store: Where stages keep their results.

    Returns:
        The stage's result; output `checkpoint` is the folder of its manifest.
    """

    def build(folder: Path, reporter: Reporter) -> Outcome:
        from globe.demo.tiny_model import build_tiny_model, demo_texts
        from globe.demo.world import toy_world

        target = folder / "checkpoint"
        shutil.rmtree(target, ignore_errors=True)
        built = build_tiny_model(target, demo_texts(toy_world()), seed=seed)
        checkpoint = publish_checkpoint(target, base_model=TINY, recipe="", parent="", step=0)
        return Outcome(f"{built['parameters'] / 1e6:.2f} M parameters, random weights", {"checkpoint": checkpoint.uri}, built)

    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        reporter.note(f"hashing {model}")
        checkpoint = publish_checkpoint(Path(model), base_model=model, recipe="", parent="", step=0, manifest_folder=folder)
        return Outcome(f"given: {model}", {"checkpoint": str(folder)}, {"files": len(checkpoint.files)}, show=checkpoint.uri)

    tiny = model == TINY
    settings = {"model": model if tiny else str(Path(model).resolve()), "seed": seed}
    if not tiny:  # a folder's content may change between runs: size and time of each file tell
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(Path(model).glob("*"))]
        settings["files"] = stats
    return run_stage(
        "base_model",
        store=store,
        inputs={},
        settings=settings,
        code=("demo", "geo/answer", "rewards/localizability") if tiny else (),
        work=build if tiny else adopt,
    )
