"""Contracts that pass a checkpoint on without training: a given one or a replacement, and the join after two branches."""

from kfp import dsl

from components.contract import contract


@contract("given")
def given(
    stage: str,
    start_from: dict,
    store: str,
    helpers: list = [],  # noqa: B006 (KFP's way to give a list parameter a default)
    otherwise: dsl.Input[dsl.Model] = None,
) -> str:
    """Take the checkpoint that a run was given for a stage; if the stage is switched off, pass another one on.

    Args:
        stage: Name of the stage that does not run.
        start_from: Folder or s3:// URI of a checkpoint by stage.
        store: Folder or s3:// prefix that keeps the results of all stages.
        helpers: Stages that are needed only by this one; they do not run either.
        otherwise: What to pass on if the stage is switched off.

    Returns:
        Path of the checkpoint's manifest; empty if there is none.
    """
    from globe.models.given import given as adopt
    from globe.run import artifacts
    from globe.run.events import skip
    from globe.storage import fetch, open_store

    for name in helpers:
        skip(name, "switched off")
    if start_from.get(stage):
        return str(artifacts.manifest_of(adopt(stage=stage, model=fetch(start_from[stage]), store=open_store(store))))
    skip(stage, "switched off")
    return artifacts.checkpoint(otherwise.path).manifest if otherwise else ""


@contract("join")
def checkpoint(manifest: str, checkpoint: dsl.Output[dsl.Model]):
    """Make a checkpoint an artifact again after two branches have joined, since branches can only pass texts on.

    Args:
        manifest: Path of the checkpoint's manifest; empty if there is none.
        checkpoint: The manifest.
    """
    from globe.run import artifacts

    artifacts.copy_manifest(manifest, checkpoint.path)
