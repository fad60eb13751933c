"""Contracts that hand a checkpoint on without training: what is given or switched off, and the join after it."""

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
    """Take the checkpoint that a run was given for a stage; hand another one on where the stage is switched off.

    Args:
        stage: Name of the stage that does not run.
        start_from: Folder or s3:// URI of a checkpoint by stage.
        store: Folder or s3:// prefix that keeps the results of all stages.
        helpers: Stages that only help this one; they do not run either.
        otherwise: What to hand on when the stage is switched off.

    Returns:
        Path of the checkpoint's manifest, empty when there is none.
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
    """Make a checkpoint an artifact again after two branches have met: branches can only hand on texts.

    Args:
        manifest: Path of the checkpoint's manifest; empty when there is none.
        checkpoint: The manifest.
    """
    from globe.run import artifacts

    artifacts.copy_manifest(manifest, checkpoint.path)
