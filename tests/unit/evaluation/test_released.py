"""What a promotion does with a served name: the same as `globe deploy` by hand, or a failure that nobody overlooks."""

import copy
import json
from functools import partial

import pytest
import yaml
from cluster_servers import CLAIM, in_cluster, placing
from cluster_servers import start as start_server
from model_folders import model, publish
from typer.testing import CliRunner

from globe.cli.app import app
from globe.errors import GlobeError, InputError
from globe.evaluation import released
from globe.evaluation.promote import promote, read_promoted
from globe.evaluation.released import opened, planned, serve_promoted
from globe.models.checkpoints import Checkpoint, Usage
from globe.recipes.load import load_recipe
from globe.run.cluster import Place
from globe.run.stage import Outcome, run_stage
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import serve

IMAGE = f"registry.example/globe-serve@sha256:{'0' * 64}"
RECIPE = load_recipe(ServingRecipe, "serving", "gpu", {"startup_timeout_s": 30})
SERVED = RECIPE.model_dump(mode="json")
PATIENCE_S = 5
RELEASE = {"name": "where", "replicas": 2, "max_precision": "region"}
ELSEWHERE = {
    "recipes": {"serving": "gpu", "grpo": "qwen2.5-vl-7b-two-rewards"},
    "overrides": {"serving.startup_timeout_s": 30, "serving.tensor_parallel_size": 2, "grpo.beta": 0.1},
    "serving_gpus": 2,
    "node_selectors": {"serving": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, "grpo": {"zone": "b"}},
    "tolerations": [{"key": "team", "operator": "Exists", "effect": "NoExecute"}],
}
"""A profile's parameters."""
BAD = {"waiting": {"reason": "InvalidImageName", "message": "cannot parse"}}


@pytest.fixture
def checkpoint(claim):
    """A function that makes a checkpoint on the claim, as a stage of a run does."""

    def make(name="policy", weights=b"weights"):
        return publish(model(claim / "grpo" / name / "checkpoint", weights), usage=Usage(serving=SERVED))

    return make


@pytest.fixture
def stage(claim):
    """A function that is the promote stage of a run in a cluster."""

    def run(policy, release=RELEASE, recipe=RECIPE, gpus=1, nodes=None, tolerations=(), **settings):
        inputs = {"policy": policy.digest}
        figures = Outcome("done", {}, {"policy": {"n": 3}})
        evaluation = run_stage("evaluation", store=claim, inputs=inputs, settings={}, code=(), work=lambda *_: figures)
        cluster = in_cluster(server_image=IMAGE, release=release, server_schedule_timeout_s=PATIENCE_S, **settings)
        place = Place("run-1", gpus, nodes or {}, tolerations, cluster, str(claim))
        serve = partial(serve_promoted, recipe=recipe, place=place)
        return promote(policy=policy, evaluation=evaluation, store=claim, serve=serve)

    return run


def elsewhere():
    """What the tasks of a run with these parameters are given about its servers."""
    recipe = load_recipe(ServingRecipe, "serving", "gpu", {"startup_timeout_s": 30, "tensor_parallel_size": 2})
    nodes = ELSEWHERE["node_selectors"]["serving"]
    return {"recipe": recipe, "gpus": 2, "nodes": nodes, "tolerations": ELSEWHERE["tolerations"]}


def by_hand(policy, tmp_path, *options, parameters=None):
    """`globe deploy` as somebody types it who has the profile."""
    profile = tmp_path / "profile.yaml"
    cluster = {"mount_path": str(CLAIM), "release": RELEASE, "server_schedule_timeout_s": PATIENCE_S}
    profile.write_text(yaml.safe_dump({"title": "ours", "cluster": cluster, "parameters": parameters or {}}))
    options = (*options, "--cluster", str(profile), "--image", IMAGE, "--json")
    done = CliRunner().invoke(app, ["deploy", policy.uri, *options], catch_exceptions=False)
    return json.loads(done.stdout)


def what_is_there(api):
    """All objects by kind and name, without when and how often they were changed."""
    found = {(kind, name): one for kind, objects in copy.deepcopy(api.objects).items() for name, one in objects.items()}
    for one in found.values():
        one.pop("status", None)
        for name in ("resourceVersion", "generation"):
            one["metadata"].pop(name)
        one["metadata"].get("annotations", {}).pop("globe.dev/promoted", None)
    return found


def test_a_promotion_leaves_in_the_cluster_what_globe_deploy_with_the_profile_does(api, checkpoint, stage, tmp_path):
    first, second = checkpoint(), checkpoint("next", b"other weights")
    stage(first)
    stage(second)
    promoted = what_is_there(api)
    kinds = {kind for kind, _ in promoted}
    assert kinds == {"deployments", "services", "serviceaccounts", "poddisruptionbudgets", "networkpolicies"}
    assert sorted(one["spec"]["replicas"] for (kind, _), one in promoted.items() if kind == "deployments") == [0, 2]
    for objects in api.objects.values():
        objects.clear()
    assert by_hand(first, tmp_path)["changed"]
    assert by_hand(second, tmp_path)["changed"]
    assert what_is_there(api) == promoted


def test_the_same_promotion_again_changes_nothing_and_neither_does_globe_deploy_after_it(api, checkpoint, stage, tmp_path):
    policy = checkpoint()
    stage(policy)
    before = copy.deepcopy(api.objects)
    stage(policy)
    assert not by_hand(policy, tmp_path)["changed"]
    assert api.objects == before


def test_a_promotion_takes_the_nodes_gpus_and_values_of_the_runs_own_server_and_so_does_globe_deploy_with_the_profile(
    api, checkpoint, stage, claim, tmp_path
):
    policy, given = checkpoint(), elsewhere()
    cluster = in_cluster(server_image=IMAGE)
    own = Place("run-2", 2, given["nodes"], given["tolerations"], cluster, str(claim))
    serve("serving", {"grpo": policy}, given["recipe"], own, needed=True, reason="")
    (server,) = api.objects["deployments"].values()
    stage(policy, **given)
    (released,) = [one for one in api.objects["deployments"].values() if one is not server]
    assert placing(released) == placing(server)
    before = copy.deepcopy(api.objects)
    assert not by_hand(policy, tmp_path, parameters=ELSEWHERE)["changed"]
    assert api.objects == before


def test_other_nodes_or_taints_are_a_change_once_and_what_was_there_is_kept_to_go_back_to(api, checkpoint, tmp_path):
    policy = checkpoint()
    first = by_hand(policy, tmp_path)
    other = {"parameters": {"node_selectors": {"serving": {"zone": "b"}}}}
    second = by_hand(policy, tmp_path, **other)
    assert second["changed"]
    assert not by_hand(policy, tmp_path, **other)["changed"]
    third = by_hand(policy, tmp_path, "--toleration", "team=geo:NoSchedule", **other)
    assert third["changed"]
    assert not by_hand(policy, tmp_path, "--toleration", "team=geo:NoSchedule", **other)["changed"]
    assert len({one["version"] for one in (first, second, third)}) == 3
    replicas = {
        one["metadata"]["annotations"]["globe.dev/version"]: one["spec"]["replicas"]
        for one in api.objects["deployments"].values()
    }
    assert replicas == {second["version"]: 0, third["version"]: 2}


def test_what_does_not_come_up_is_rolled_back_told_with_its_reason_and_tried_again_by_the_next_run(
    api, checkpoint, stage, statuses, claim, capsys
):
    pod_status, ready = statuses
    first, second = checkpoint(), checkpoint("next", b"other weights")
    stage(first)
    before = what_is_there(api)
    digest = f"{second.digest[:12]}"
    api.pods_of = lambda now: [ready() if first.uri in str(now) else pod_status(BAD)]
    capsys.readouterr()
    with pytest.raises(GlobeError, match=rf"names sha256 {digest} .* not what is served: .*InvalidImageName: .*cannot parse"):
        stage(second)
    told = capsys.readouterr().err
    assert "[promote] failed" in told
    assert "[promote] done" not in told
    assert what_is_there(api) == before
    assert read_promoted(claim).digest == second.digest
    api.pods_of = lambda now: [ready()]
    stage(second)
    served = {one["spec"]["replicas"]: one for (kind, _), one in what_is_there(api).items() if kind == "deployments"}
    assert served[2]["metadata"]["annotations"]["globe.dev/digest"] == second.digest


def test_what_another_run_promotes_meanwhile_is_served_in_the_end(api, checkpoint, stage, statuses, claim, capsys):
    _, ready = statuses
    first, second, third = checkpoint(), checkpoint("next", b"other weights"), checkpoint("last", b"newest weights")
    stage(first)
    once = []

    def pods(deployment):
        if second.uri in str(deployment) and not once:
            once.append(1)
            stage(third)
        return [ready()]

    api.pods_of = pods
    capsys.readouterr()
    with pytest.raises(GlobeError, match=rf"sha256 {third.digest[:12]} has been promoted since, and is to be served"):
        stage(second)
    assert "not what is served" not in capsys.readouterr().err
    (served,) = [one for (kind, _), one in what_is_there(api).items() if kind == "deployments" and one["spec"]["replicas"]]
    assert served["metadata"]["annotations"]["globe.dev/digest"] == third.digest == read_promoted(claim).digest


def test_a_promotion_that_is_held_up_until_another_is_served_does_not_take_its_name(api, checkpoint, stage, claim, monkeypatch):
    second, third = checkpoint("next", b"other weights"), checkpoint("last", b"newest weights")
    stage(checkpoint())
    stop, held = released.find_launcher, []

    def slowly(place):  # ending its own servers may take minutes
        if not held:
            held.append(1)
            stage(third)
        return stop(place)

    monkeypatch.setattr(released, "find_launcher", slowly)
    with pytest.raises(GlobeError, match="has been promoted since"):
        stage(second)
    (served,) = [one for (kind, _), one in what_is_there(api).items() if kind == "deployments" and one["spec"]["replicas"]]
    assert served["metadata"]["annotations"]["globe.dev/digest"] == third.digest == read_promoted(claim).digest


def test_the_runs_own_servers_end_first_since_the_new_pods_may_need_their_gpus(api, checkpoint, stage, statuses, claim):
    _, ready = statuses
    start_server(Place("run-1", 1, cluster=in_cluster(), store=str(claim)), {"grpo": checkpoint()})
    (server,) = api.objects["deployments"]
    beside = []

    def pods(deployment):
        if deployment["metadata"]["name"] != server:
            beside.append(server in api.objects["deployments"])
        return [ready()]

    api.pods_of = pods
    stage(checkpoint("next", b"other weights"))
    assert beside
    assert not any(beside)


@pytest.mark.parametrize("cluster", [None, in_cluster()])
def test_without_a_name_nobody_is_asked_to_serve_anything(cluster):
    assert serve_promoted(Checkpoint("/nowhere", "", "", "", "", 0), RECIPE, Place("run-1", cluster=cluster)) == ""


def test_an_image_without_a_digest_is_told_and_one_with_it_is_not():
    for image, count in ((IMAGE, 0), ("registry.example/globe-serve:1", 1)):
        told = []
        policy = Checkpoint(f"{CLAIM}/m", "", "", "", "", 0)
        planned(policy, RECIPE, Place(cluster=in_cluster(server_image=image, release=RELEASE)), told.append)
        assert sum("is not named by its digest" in text for text in told) == count


def test_a_place_that_cannot_be_looked_at_is_taken_by_its_name():
    for place in ("/mnt/elsewhere/m", f"oci://registry.example/m@sha256:{'0' * 64}"):
        assert opened(place, pytest.fail) == Checkpoint(place, "", "", "", "", 0)


def test_a_folder_that_is_no_models_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        opened(str(tmp_path), pytest.fail)
