"""The whole training pipeline as pods of a real cluster, from the package of each backend: what its pods get, and what it leaves.

Needs KUBECONFIG, the images localhost/globe-*:cpu in the node's engine, and GLOBE_NODE_DOCKER for naming them there
(GLOBE_IMAGES_DOCKER is another engine to copy them from). A whole run takes some five minutes on two cores.
"""

import json
import os
import subprocess
from contextlib import ExitStack

import pytest
from cleanup_job import clean_up
from pods import DELETE, KILL, TERMINATE
from runs import LARGE, ON_GPUS, checkpoints, places_of_secrets, site
from watching import Watch, is_in_the_middle

from components.images import NAMES, image
from globe.run.records import read_records
from globe.run.stages import STAGES
from pipelines.backends import BACKENDS, NEWEST

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]
OLDEST = list(BACKENDS.values())[-1]
GPUS = "nvidia.com/gpu"
PODS = {
    *("validate", "source", "base-model", "curation", "sft", "baselines", "reward-model", "reward-service", "grpo"),
    *("stop-reward-service", "serving", "evaluation", "gate", "promote", "teardown"),
}
FEW = {"train_reward_model": False, "source.toy_pictures": 60}
"""For a run that is to fail at its first training."""
AGAIN = {
    "grpo": {"grpo.max_steps": 5},
    "serving": {"evaluation.max_tokens": 45},
    "evaluation": {"evaluation.max_tokens": 44},
    "gate": {"evaluation.max_tokens": 43},
}
"""Stages that run while a server is up, each with a question that makes a finished run do it again."""
every_backend = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
oldest_and_newest = pytest.mark.parametrize("backend", [OLDEST, NEWEST], ids=[OLDEST.version, NEWEST.version])


@pytest.fixture(scope="session")
def images(load_image, node_docker):
    """The images on the node, under the names that the packages have for them."""
    for name in NAMES:
        local = f"localhost/globe-{name}:cpu"
        if engine := os.environ.get("GLOBE_IMAGES_DOCKER"):
            load_image(local, engine)
        if "@" not in image(name):  # a released one has a digest, and the node fetches it
            subprocess.run(["docker", "--host", node_docker, "tag", local, image(name)], check=True)


@pytest.fixture(scope="session")
def new_site(cluster, core, images, tolerations, tmp_path_factory):
    """A function that makes a place for runs; it is there until the last test has ended."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(site(cluster, core, tmp_path_factory.mktemp("site"), tolerations))


@pytest.fixture(scope="session")
def undisturbed(new_site):
    """A function that gives the place of a backend's undisturbed run, the run, and what was seen meanwhile; each is run once."""
    made = {}

    def of(backend):
        if backend not in made:
            place = new_site()
            watch = Watch(place)
            made[backend] = place, place.run(backend, watch.look), watch
        return made[backend]

    return of


def promoted(place):
    """What promoted.json says; None if there is none."""
    path = place.store / "promoted.json"
    return json.loads(path.read_text()) if path.exists() else None


@every_backend
def test_every_stage_runs_as_a_pod_and_the_model_is_promoted(undisturbed, backend):
    place, run, watch = undisturbed(backend)
    assert run.failure is None, run.pods.history
    assert set(run.ended) >= PODS
    assert {(one.phase, one.code) for one in run.pods.history} == {("Succeeded", 0)}
    assert promoted(place)["uri"].startswith("grpo/")
    assert watch.models == {"reward_model", "policy"}


@every_backend
def test_the_gpu_limits_are_those_that_were_asked_for_zero_included(undisturbed, backend):
    _, run, watch = undisturbed(backend)
    limits = {stage: one.limits.get(GPUS) for stage, one in run.ended.items()}
    on_gpus = {stage.replace("_", "-") for stage in ON_GPUS}
    assert {stage for stage, limit in limits.items() if limit == "0"} == on_gpus
    assert {stage for stage, limit in limits.items() if limit is None} == set(limits) - on_gpus
    assert {limit.get(GPUS, "0") for limit in watch.limits.values()} == {"0"}


@every_backend
def test_nothing_is_left_after_success(undisturbed, backend):
    place, _, _ = undisturbed(backend)
    place.require_nothing_left()


@every_backend
def test_a_planted_secret_appears_nowhere(undisturbed, backend):
    place, run, watch = undisturbed(backend)
    assert places_of_secrets(place, run) == []
    assert not any(value in log for log in watch.logs.values() for value in place.planted.values())


@every_backend
def test_a_stage_that_asks_teachers_has_their_key_and_one_that_trains_from_a_claim_none_at_all(undisturbed, backend):
    """Otherwise, that none appears anywhere would show nothing."""
    place, _, watch = undisturbed(backend)
    found = {stage: {name for name in place.planted if name in there} for stage, there in watch.environments.items()}
    assert found == {"curation": {"GLOBE_TEACHER_API_KEY"}, "sft": set()}
    assert watch.environments["curation"]["GLOBE_TEACHER_API_KEY"] == place.planted["GLOBE_TEACHER_API_KEY"]


@every_backend
def test_the_run_leaves_a_record_of_every_stage_and_the_webhook_is_told(undisturbed, backend):
    place, run, _ = undisturbed(backend)
    records = {one.stage: one for one in read_records(str(place.store), run.pods.run_id)}
    shown = {name for name, stage in STAGES.items() if stage.shown and name.replace("_", "-") in run.ended}
    assert set(records) >= shown - {"teardown"}  # it tells of the others
    assert {one.state for one in records.values()} == {"succeeded"}
    assert [(one["run"], one["state"]) for one in place.notices] == [(run.pods.run_id, "succeeded")]


@every_backend
def test_a_stage_that_sees_less_gpus_than_its_limit_stops_and_nothing_is_left(new_site, backend):
    """The node only pretends to have GPUs: the scheduler grants eight, and the stage finds none."""
    place = new_site()
    once = place.cluster(sft=LARGE.model_copy(update={"retries": 0}))
    run = place.run(backend, cluster=once, sft_gpus=8, **{"sft.nproc_per_node": 8}, **FEW)
    assert run.failure
    assert (run.ended["sft"].phase, run.ended["sft"].code) == ("Failed", 1)
    assert run.ended["sft"].limits[GPUS] == "8"
    assert run.ended["teardown"].succeeded
    place.require_nothing_left()
    assert promoted(place) is None


@pytest.mark.parametrize(
    ("of", "stage", "gpus"), [("reward_model", "reward-model", 2), ("grpo", "grpo", 4), ("serving", "baselines", 1)]
)
def test_each_stage_is_promised_the_gpus_of_its_own_parameter(undisturbed, of, stage, gpus):
    """GRPO fails with the reward service up."""
    place, _, _ = undisturbed(NEWEST)
    once = place.cluster(**dict.fromkeys(ON_GPUS, LARGE.model_copy(update={"retries": 0})))
    processes = {} if of == "serving" else {f"{of}.nproc_per_node": gpus}
    run = place.run(NEWEST, cluster=once, **{f"{of}_gpus": gpus}, **processes)
    assert run.failure
    assert {one.stage: one.limits[GPUS] for one in run.pods.history if not one.succeeded} == {stage: str(gpus)}
    place.require_nothing_left()


def test_more_gpus_than_the_node_has_are_never_scheduled(new_site):
    place = new_site()
    run = place.run(NEWEST, sft_gpus=16, **{"sft.nproc_per_node": 16}, **FEW)
    assert run.failure
    assert "Insufficient nvidia.com/gpu" in run.ended["sft"].unscheduled[0]
    place.require_nothing_left()


@oldest_and_newest
def test_nothing_is_left_after_a_rejection(undisturbed, backend):
    place, _, _ = undisturbed(backend)
    before, watch = promoted(place), Watch(place)
    # Another question, so that the model is served again.
    run = place.run(backend, watch.look, **{"evaluation.max_tokens": 47, "evaluation.gate.min_pictures": 100_000})
    assert run.failure
    assert (run.ended["reject"].phase, run.ended["gate"].phase) == ("Failed", "Succeeded")
    assert watch.models == {"policy"}
    place.require_nothing_left()
    assert promoted(place) == before


@oldest_and_newest
@pytest.mark.parametrize(
    ("stage", "model", "other"),
    [("grpo", "reward_model", {"grpo.max_steps": 6}), ("evaluation", "policy", {"evaluation.max_tokens": 46})],
)
def test_nothing_is_left_after_terminate(undisturbed, backend, stage, model, other):
    """KFP sets the workflow's deadline to now: Argo ends the pods that run, starts no others, and runs the exit task."""
    place, _, _ = undisturbed(backend)
    before, watch = promoted(place), Watch(place)

    def meanwhile(running):
        watch.look(running)
        return TERMINATE if running.stage == stage and model in watch.models and running.seconds > 2 else ""

    run = place.run(backend, meanwhile, **other)
    assert run.failure
    assert run.pods.terminated
    assert not run.ended[stage].succeeded
    assert run.pods.history[-1].stage == "teardown"
    assert run.ended["teardown"].succeeded
    place.require_nothing_left()
    assert promoted(place) == before


def test_a_run_whose_every_pod_is_killed_once_ends_with_the_same_models(undisturbed, new_site):
    """On the backend whose Argo starts lost pods again; its servers' pods are killed as well."""
    other, plain, _ = undisturbed(NEWEST)
    place = new_site()
    watch, killed_servers = Watch(place), set()

    def meanwhile(running):
        watch.look(running)
        if running.attempt and (model := watch.asked_by(running.stage)) and model not in killed_servers:
            killed_servers.add(model)
            watch.kill_server(model)
        return KILL if not running.attempt and is_in_the_middle(watch, running) else ""

    run = place.run(NEWEST, meanwhile)
    assert run.failure is None, run.pods.history
    assert sorted(run.lost) == sorted(one.stage for one in plain.pods.history)
    assert killed_servers == {"reward_model", "policy"}
    assert checkpoints(place.store) == checkpoints(other.store)
    assert promoted(place)["uri"] == promoted(other)["uri"]
    place.require_nothing_left()
    assert places_of_secrets(place, run) == []


@pytest.mark.parametrize(("stage", "other"), AGAIN.items(), ids=AGAIN)
def test_nothing_is_left_of_a_run_that_lost_a_pod_which_is_not_started_again(undisturbed, stage, other):
    """On the backend whose Argo starts none again: the run fails, and started once more it goes on where it was."""
    place, _, _ = undisturbed(OLDEST)
    watch = Watch(place)

    def meanwhile(running):
        watch.look(running)
        return KILL if running.stage == stage and is_in_the_middle(watch, running) else ""

    run = place.run(OLDEST, meanwhile, **other)
    assert run.failure
    assert run.lost == [stage]
    assert watch.models
    assert run.ended["teardown"].succeeded
    place.require_nothing_left()


def test_the_cleanup_job_removes_what_a_deleted_run_leaves(undisturbed):
    """Nothing of a run runs any more once it is deleted, its exit task included."""
    place, _, _ = undisturbed(OLDEST)

    def meanwhile(running):
        return DELETE if running.stage == "evaluation" else ""

    run = place.run(OLDEST, meanwhile, **{"evaluation.max_tokens": 41})
    assert run.pods.history[-1].stage == "evaluation"
    assert {one.split("/")[0] for one in place.leftovers()} == {"Deployment", "ReplicaSet", "Service", "Pod"}
    assert run.pods.run_id in clean_up(place)
    place.require_nothing_left()
