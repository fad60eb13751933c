"""Contracts of what follows the gate: the policy becomes the promoted one, or the run fails and says why."""

from kfp import dsl

from components.contract import contract


@contract("promote")
def promote(
    policy: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    instead_of: str,
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
):
    """Name the policy as the promoted one: `promoted.json` in the store. Then move the served model's name to it, if one is set.

    Args:
        policy: Manifest of the policy.
        evaluated: Reference to the evaluation that earned it.
        instead_of: Digest of the model that the gate found promoted; if it is another one by now, that stays, and this fails.
        recipes: Name of each stage's recipe; the served model's pods take serving's, as the run's own server did.
        overrides: Values that replace recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs of each of these pods, in digits.
        nodes: Labels of the nodes they may run on.
        tolerations: Taints that they tolerate.
        cluster: What the profile says about the cluster, the served model's name (`release`) with it; empty on a laptop.
        run: Name of the run, whose own servers end before others are started.
    """
    from functools import partial

    from globe.evaluation.promote import promote as stage
    from globe.evaluation.released import serve_promoted
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.cluster import Place, read_cluster
    from globe.serving.recipe import ServingRecipe
    from globe.storage import open_store

    stage(
        policy=artifacts.checkpoint(policy.path),
        evaluation=artifacts.read_result(evaluated.path),
        store=open_store(store),
        instead_of=instead_of,
        serve=partial(
            serve_promoted,
            recipe=load_stage_recipe(ServingRecipe, "serving", recipes, overrides),
            place=Place(run, int(gpus), nodes, tolerations, read_cluster(cluster), store),
        ),
    )


@contract("verdict")
def accept(
    policy: dsl.Input[dsl.Model],
    evaluated: dsl.Input[dsl.Artifact],
    promotes: bool,
    instead_of: str,
    verdict: str,
    reasons: str,
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
):
    """Let the run succeed: the policy passed the gate. Promote it if the run was asked to.

    Args:
        policy: Manifest of the policy; of nothing if it is behind a URL.
        evaluated: Reference to the evaluation that earned it.
        promotes: Whether to promote it.
        instead_of: Digest of the model that the gate found promoted.
        verdict: The gate's.
        reasons: Why.
        recipes: As in `promote`; so are all that follow.
        overrides: Values that replace recipes'.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs.
        nodes: Labels of nodes.
        tolerations: Taints.
        cluster: What the profile says about the cluster.
        run: Name of the run.
    """
    from functools import partial

    from globe.evaluation.promote import accept as say
    from globe.evaluation.promote import promote as stage
    from globe.evaluation.released import serve_promoted
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.cluster import Place, read_cluster
    from globe.serving.recipe import ServingRecipe
    from globe.storage import open_store

    if not promotes:
        say(reasons=reasons, verdict=verdict)
        return
    stage(
        policy=artifacts.checkpoint(policy.path),
        evaluation=artifacts.read_result(evaluated.path),
        store=open_store(store),
        instead_of=instead_of,
        serve=partial(
            serve_promoted,
            recipe=load_stage_recipe(ServingRecipe, "serving", recipes, overrides),
            place=Place(run, int(gpus), nodes, tolerations, read_cluster(cluster), store),
        ),
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
