"""Take what a user gives, a model's folder or an earlier run's checkpoint, as the result of a stage."""

from pathlib import Path

from globe.errors import GlobeError
from globe.models.checkpoints import MANIFEST_FILE, Usage, read_intact, require_model_files
from globe.models.publish import publish_checkpoint
from globe.models.weights import require_whole_model
from globe.run.events import Reporter, fail
from globe.run.stage import Outcome, StageResult, run_stage
from globe.storage import portable


def given(*, stage: str, model: str, store: Path, usage: Usage = Usage()) -> StageResult:
    """Take a model folder or a checkpoint as a stage's result, without copying it.

    Args:
        stage: The stage whose result it stands for.
        model: The folder.
        store: Where stages keep their results.
        usage: How the run serves and asks its models, for the manifest of a model that has none.

    Returns:
        The stage's result; output `checkpoint` is the folder of the manifest.

    Raises:
        InputError: The folder is not a model's.
        GlobeError: A file differs from what the checkpoint's manifest says.
    """
    source = Path(model).resolve()
    try:
        own = read_intact(source) if (source / MANIFEST_FILE).is_file() else None
        if not own:
            require_model_files(source)
    except GlobeError as error:
        fail(stage, error)
        raise

    def adopt(folder: Path, reporter: Reporter) -> Outcome:
        if own:
            kept = {"checkpoint": [MANIFEST_FILE]}
            figure, figures = f"given: {len(own.files)} files", {"files": len(own.files)}
            return Outcome(figure, {"checkpoint": str(source)}, figures, show=own.uri, given=kept)
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

    # The folder may have changed since an earlier run. A manifest tells; without one, the size and time of each file do.
    content = (
        own.digest if own else [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(source.glob("*"))]
    )
    settings = {"model": portable(source, store), "files": content}
    return run_stage(stage, store=store, inputs={}, settings=settings, code=(__name__,), work=adopt)
