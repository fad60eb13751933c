"""Contracts of what follows the gate: the policy becomes the promoted one, or the run fails and says why."""

from kfp import dsl

from components.contract import contract


@contract("promote")
def promote(policy: dsl.Input[dsl.Model], evaluated: dsl.Input[dsl.Artifact], store: str):
    """Name the policy as the promoted one: `promoted.json` in the store.

    Args:
        policy: Manifest of the policy.
        evaluated: Reference to the evaluation that earned it.
        store: Folder or s3:// prefix that keeps the results of all stages.
    """
    from globe.evaluation.promote import promote as stage
    from globe.run import artifacts
    from globe.storage import open_store

    stage(policy=artifacts.checkpoint(policy.path), evaluation=artifacts.read_result(evaluated.path), store=open_store(store))


@contract("verdict")
def accept(reasons: str):
    """Let the run succeed: the policy passed the gate, and this pipeline promotes nothing.

    Args:
        reasons: Why.
    """
    from globe.run.events import emit

    emit("gate", "note", figure=f"accepted: {reasons}")


@contract("verdict")
def reject(reasons: str):
    """Fail the run: the policy did not pass the gate.

    Args:
        reasons: Why not.
    """
    from globe.evaluation.promote import reject as stage

    stage(reasons)
