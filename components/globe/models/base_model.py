"""Stage base model: name what training starts from, so that every later result can say so."""

import shutil
from pathlib import Path

from globe.errors import GlobeError
from globe.models.checkpoints import MANIFEST_FILE, TINY, Usage, publish_checkpoint, read_intact
from globe.models.weights import require_whole_model
from globe.recipes.load import recipe_values
from globe.run.events import Reporter, fail
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable


def base_model(*, model: str, seed: int, store: Path, usage: Usage = Usage(), stage: str = "base_model") -> StageResult:
    """Check a given model folder, or build the demo's tiny one.

    Args:
        model: Folder of a Hugging Face model, or "tiny".
        seed: Seed of the tiny model's random weights.
        store: Where stages keep their results.
        usage: How the run serves and asks its models, for the manifest of a model that has none.
        stage: What the stage is called: another name where nothing is trained from the model.

    Returns:
        The stage's result; output `checkpoint` is the folder of its manifest.
    """

    def build(folder: Path, reporter: Reporter) -> Outcome:
        from globe.demo.tiny_model import build_tiny_model, demo_texts
        from globe.demo.world import toy_world

        # Whoever makes it by hand names no recipes; the full-size ones would ask more of it than it has.
        demo = Usage(serving=recipe_values("serving", "demo"), evaluation=recipe_values("evaluation", "demo"))

        target = folder / "checkpoint"
        shutil.rmtree(target, ignore_errors=True)
        built = build_tiny_model(target, demo_texts(toy_world()), seed=seed)
        checkpoint = publish_checkpoint(target, base_model=TINY, recipe="", parent="", step=0, usage=usage.over(demo))
        figures = {name: value for name, value in built.items() if name != "path"}
        return Outcome(f"{built['parameters'] / 1e6:.2f} M parameters, random weights", {"checkpoint": checkpoint.uri}, figures)

    if model != TINY:
        return given(stage=stage, model=model, store=store, usage=usage)
    return run_stage(
        stage,
        store=store,
        inputs={},
        settings={"model": model, "seed": seed},
        code=(__name__,),
        work=build,
    )


def given(*, stage: str, model: str, store: Path, usage: Usage = Usage()) -> StageResult:
    """Take a model folder, or a checkpoint that an earlier run made, as the result of a stage.

    Args:
        stage: The stage whose result it stands for.
        model: The folder.
        store: Where stages keep their results.
        usage: How the run serves and asks its models, for the manifest of a model that has none.

    Returns:
        The stage's result; output `checkpoint` is the folder of the manifest.

    Raises:
        InputError: The folder is no model.
    """
    source = Path(model).resolve()
    try:
        own = read_intact(source) if (source / MANIFEST_FILE).is_file() else None
    except GlobeError as error:
        fail(stage, error)
        raise

    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        if own:
            return Outcome(f"given: {len(own.files)} files", {"checkpoint": str(source)}, {"files": len(own.files)}, show=own.uri)
        require_whole_model(source)
        reporter.note(f"hashing {model}")
        made = publish_checkpoint(
            source,
            base_model=model,
            recipe="",
            parent="",
            step=0,
            usage=usage,
            manifest_folder=folder,
            store=store.absolute(),
        )
        return Outcome(f"given: {len(made.files)} files", {"checkpoint": str(folder)}, {"files": len(made.files)}, show=made.uri)

    # A folder's content may change between runs: its manifest tells, and where it has none, size and time of each file.
    content = (
        own.digest if own else [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(source.glob("*"))]
    )
    settings = {"model": portable(source, store), "files": content}
    return run_stage(stage, store=store, inputs={}, settings=settings, code=(), work=adopt)
