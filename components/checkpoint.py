"""Contracts that hand a checkpoint on without training: the stand-in for a stage that is switched off, and the join after it."""

from kfp import dsl

from components.contract import contract


@contract("curation")
def pass_through(given: dsl.Input[dsl.Model], stage: str) -> str:
    """Hand a checkpoint on as it is.

    Args:
        given: Manifest of the checkpoint.
        stage: Name of the stage that is switched off, for the log.

    Returns:
        Folder of the checkpoint's manifest.
    """
    from globe import artifacts
    from globe.events import emit

    emit(stage, "skipped", figure="switched off")
    return artifacts.checkpoint(given.path).manifest


@contract("curation")
def skip(stage: str) -> str:
    """Say that a stage is switched off.

    Args:
        stage: Its name.

    Returns:
        Nothing: an empty text.
    """
    from globe.events import emit

    emit(stage, "skipped", figure="switched off")
    return ""


@contract("curation")
def checkpoint(manifest: str, checkpoint: dsl.Output[dsl.Model]):
    """Make a checkpoint an artifact again after two branches have met: branches can only hand on texts.

    Args:
        manifest: Path of the checkpoint's manifest.
        checkpoint: The manifest.
    """
    import shutil

    from globe import artifacts

    artifacts.checkpoint(manifest)
    shutil.copyfile(manifest, checkpoint.path)
