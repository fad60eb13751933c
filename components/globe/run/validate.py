"""Stage validate: a run's first task, which checks its inputs where the claim, the secrets and the nodes can be seen."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from globe.errors import GlobeError, InputError
from globe.recipes.load import load_stage_recipe
from globe.run.cluster import Cluster, read_cluster
from globe.run.events import emit, fail
from globe.run.nodes import check_nodes
from globe.run.plans import refuse_what_cannot_fit, training_plans
from globe.run.preflight import RUN, Plan, Request, busy_gpus, check, check_keys, check_secrets, required_variables
from globe.run.stages import RECIPES, STAGES
from globe.signing import KEY_VARIABLE, is_signing
from globe.training.further_arguments import command_of, require_known_arguments


def validate(request: Request, cluster_settings: Mapping[str, Any]) -> Plan:
    """Check a request where its claim, secrets and nodes can be seen.

    Args:
        request: What the run is asked to do.
        cluster_settings: What the profile says about the cluster; empty on a laptop.

    Returns:
        Which stages will run.

    Raises:
        InputError: One line with what is wrong and what to give instead.
    """
    started = time.monotonic()
    try:
        cluster = read_cluster(cluster_settings)
        plan, notes = check(request, cluster), check_keys(request)
        if cluster:
            required = [*required_variables(request), *([KEY_VARIABLE] if cluster.signing_secret else [])]
            notes += check_secrets(cluster.secret_of("validate"), required)
        _check_arguments(request, plan)
        plans = training_plans(request, plan, cluster)
        refuse_what_cannot_fit(plans)
        notes += [f"{stage}: {each.fitted}" for stage, each in plans.items() if each.fitted]
        is_signing()  # a key that could be guessed
        if cluster and request.may_promote:
            notes += _check_release(cluster)
        if cluster and cluster.check_nodes:
            notes += check_nodes(request.node_selectors, busy_gpus(request, plan), cluster.gpu_resource)
    except GlobeError as error:
        fail("validate", error, seconds=round(time.monotonic() - started, 1))
        raise
    notes = [*plan.notes, *notes]
    figure = "; ".join(notes) or "all inputs are fine"
    emit("validate", "done", figure=figure, seconds=round(time.monotonic() - started, 1), titles=plan.titles)
    return replace(plan, notes=tuple(notes))


def _check_release(cluster: Cluster) -> list[str]:
    """What a promotion will move: now, since the stage that does it comes after all that costs."""
    name = cluster.release.name
    if not name:
        return []
    from globe.serving.kube import Forbidden, connect  # its import takes a second, and few runs need it
    from globe.serving.release import Releases

    try:
        Releases(connect(cluster.namespace), lambda text: None).require_free(name)
    except Forbidden as error:
        raise GlobeError(
            f"release: {name}: {str(error).split(';')[0]}; manifests/release gives runs that right, see "
            "manifests/serving/README.md; or leave the name out"
        ) from None
    return [f"the promotion moves {name} to the new model"]


def _check_arguments(request: Request, plan: Plan) -> None:
    """Further arguments of the trainings, before the stages ahead of them have cost anything."""
    for stage, state in plan.states.items():
        if state != RUN or not STAGES[stage].trains:
            continue
        recipe: Any = load_stage_recipe(RECIPES[stage], stage, request.recipes, request.overrides)
        try:
            require_known_arguments(command_of(stage), recipe)
        except InputError as error:
            raise InputError(f"{stage}.{error}") from None
