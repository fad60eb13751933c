"""Contracts of what follows the gate: the policy becomes the promoted one, or the run fails and says why."""

from kfp import dsl

from components.contract import contract


@contract("promote")
def promote(policy: dsl.Input[dsl.Model], evaluated: dsl.Input[dsl.Artifact], instead_of: str, store: str):
    """Name the policy as the promoted one: `promoted.json` in the store.

    Args:
        policy: Manifest of the policy.
        evaluated: Reference to the evaluation that earned it.
        instead_of: Digest of the model that the gate found promoted; if it is another one by now, that stays, and this fails.
        store: Folder or s3:// prefix that keeps the results of all stages.
    """
    from globe.evaluation.promote import promote as stage
    from globe.run import artifacts
    from globe.storage import open_store

    stage(
        policy=artifacts.checkpoint(policy.path),
        evaluation=artifacts.read_result(evaluated.path),
        store=open_store(store),
        instead_of=instead_of,
    )


@contract("verdict")
def accept(
    policy: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    promotes: bool,
    instead_of: str,
    verdict: str,
    reasons: str,
    store: str,
):
    """Let the run succeed: the policy passed the gate. Promote it if the run was asked to.

    Args:
        policy: Manifest of the policy; of nothing if it is behind a URL.
        evaluated: Reference to the evaluation that earned it.
        promotes: Whether to promote it.
        instead_of: Digest of the model that the gate found promoted.
        verdict: The gate's.
        reasons: Why.
        store: Folder or s3:// prefix that keeps the results of all stages.
    """
    from globe.evaluation.promote import accept as say
    from globe.evaluation.promote import promote as stage
    from globe.run import artifacts
    from globe.storage import open_store

    if not promotes:
        say(reasons=reasons, verdict=verdict)
        return
    stage(
        policy=artifacts.checkpoint(policy.path),
        evaluation=artifacts.read_result(evaluated.path),
        store=open_store(store),
        instead_of=instead_of,
    )


@contract("verdict")
def reject(reasons: str, store: str, verdict: str = "reject"):
    """Fail the run: the policy did not pass the gate.

    Args:
        reasons: Why not.
        store: Folder or s3:// prefix that keeps the results of all stages; where the run's last task reads that it was a verdict.
        verdict: The gate's: it rejected the policy, or could not decide.
    """
    from globe.evaluation.promote import reject as stage

    stage(reasons, verdict)
