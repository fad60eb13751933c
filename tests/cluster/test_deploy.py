"""Servers as pods of a real cluster: they come up as they should, fail with their reason, and leave nothing behind."""

import json
import urllib.request
from pathlib import Path

import pytest
import yaml
from cluster_tools import kubectl, wait_until

from globe.errors import GlobeError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place
from globe.serving import deploy, diagnosis, manifest
from globe.serving.recipe import ServingRecipe
from globe.serving.reward_service import stop_reward_service
from globe.serving.servers import serve
from globe.serving.teardown import teardown

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
RECIPE = ServingRecipe(startup_timeout_s=90, shutdown_timeout_s=1)


@pytest.fixture
def place(namespace, store, stand_in_image, tolerations, monkeypatch):
    """A function that makes places of this test's namespace; everything there may be changed."""
    monkeypatch.setattr(manifest, "ENGINE_END_S", 2)  # the stand-in has no engine to end

    def make(run="run-1", gpus=0, **settings):
        cluster = {"namespace": namespace, "server_image": stand_in_image, "server_image_pull_policy": "Never"}
        cluster |= {"server_cpu": "50m", "server_memory": "128Mi", "server_shm": "4Gi", "server_schedule_timeout_s": 60}
        cluster |= {
            "host_network": True,
            "mount_path": str(store),
        }  # as this process sees it, which writes the keys
        return Place(run, gpus, {}, tolerations, Cluster(**cluster | settings), str(store / "store"))

    return make


@pytest.fixture
def model(store):
    """A function that makes a model's folder on the claim whose server behaves in some way."""

    def make(name="good", **behaviour):
        folder = store / name
        folder.mkdir(exist_ok=True)
        (folder / "behaviour.json").write_text(json.dumps(behaviour))
        return Checkpoint(str(folder), "", "", "", "", 0)

    return make


def start(place, checkpoint, *, recipe=RECIPE, name="grpo"):
    return serve("serving", {name: checkpoint}, recipe, place, needed=True, reason="")


def failure(place, checkpoint, **options):
    with pytest.raises(GlobeError) as caught:
        start(place, checkpoint, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def ask(url, path):
    with urllib.request.urlopen(url.removesuffix("/v1") + path, timeout=10) as answer:
        return json.load(answer)


def objects(namespace, *kinds):
    kinds = kinds or ("deployments", "services", "pods", "replicasets")
    return [f"{item['kind']}/{item['metadata']['name']}" for kind in kinds for item in listed(namespace, kind)]


def listed(namespace, kind, *options):
    return json.loads(kubectl("-n", namespace, "get", kind, "-o", "json", *options))["items"]


def test_a_server_answers_is_confined_and_leaves_nothing_behind(namespace, place, model):
    where = place()
    url = start(where, model())["grpo"]
    assert ask(url, "/v1/models")["data"][0]["id"] == "grpo"

    inside = ask(url, "/inside")
    assert (inside["uid"], inside["gid"], inside["capabilities"]) == (1001, 0, 0)
    assert inside["no_new_privileges"]
    assert not inside["token"]
    assert inside["writable"] == ["/tmp", "/dev/shm"]  # not the root, and not the claim
    assert inside["shm"] == "tmpfs"
    assert inside["environment"]["HF_HUB_OFFLINE"] == "1"

    (service,) = listed(namespace, "services")
    (endpoints,) = listed(namespace, "endpoints")
    assert endpoints["metadata"]["name"] == service["metadata"]["name"]
    (subset,) = endpoints["subsets"]  # so the service's selector and port fit the pod
    assert f"{subset['addresses'][0]['ip']}:{subset['ports'][0]['port']}" in url

    teardown(where)
    assert objects(namespace) == []
    teardown(where)  # again, when there is nothing


def test_starting_again_changes_nothing_and_takes_back_what_somebody_has_edited(namespace, place, model, capsys):
    where = place()
    start(where, model())
    (before,) = listed(namespace, "deployments", "--show-managed-fields")
    assert {entry["manager"] for entry in before["metadata"]["managedFields"]} >= {"globe-pipelines"}

    start(where, model())
    (again,) = listed(namespace, "deployments")
    assert again["metadata"]["generation"] == before["metadata"]["generation"]
    assert again["metadata"]["uid"] == before["metadata"]["uid"]

    name = before["metadata"]["name"]
    kubectl("-n", namespace, "patch", "deployment", name, "--type=merge", "-p", json.dumps({"spec": {"replicas": 0}}))
    capsys.readouterr()
    start(where, model())
    assert "taking back" in capsys.readouterr().err
    (back,) = listed(namespace, "deployments")
    assert back["spec"]["replicas"] == 1
    teardown(where)


def test_a_changed_model_replaces_the_server(place, model, store):
    where = place()
    start(where, model("first"))
    url = start(where, model("second"))["grpo"]
    assert ask(url, "/inside")["arguments"][1] == str(store / "second")
    teardown(where)


def test_a_changed_model_that_fails_is_told_and_the_one_before_serves_again(namespace, place, model, store):
    where = place()
    url = start(where, model("first"))["grpo"]
    assert "exit code 3" in failure(where, model("second", exit=3))

    def served():
        try:
            return ask(url, "/inside")["arguments"][1] == str(store / "first")
        except OSError:
            return False

    wait_until(served, "the former model does not serve again")
    assert len(objects(namespace, "deployments")) == 1
    teardown(where)
    assert objects(namespace) == []


def test_only_the_runs_own_servers_are_ended_and_one_model_at_a_time_if_asked(namespace, place, model):
    one, other = place("run-1"), place("run-2")
    serve("serving", {"grpo": model(), "reward_model": model()}, RECIPE, one, needed=True, reason="")
    start(other, model())
    stop_reward_service(one)
    labels = [item["metadata"]["labels"] for item in listed(namespace, "deployments")]
    assert {(label["globe.dev/run"], label["globe.dev/model"]) for label in labels} == {("run-1", "grpo"), ("run-2", "grpo")}
    teardown(one)
    assert [item["metadata"]["labels"]["globe.dev/run"] for item in listed(namespace, "deployments")] == ["run-2"]
    teardown(other)
    assert objects(namespace) == []


def test_what_a_killed_stage_has_applied_in_part_is_removed(namespace, place, model):
    where = place()
    start(where, model())
    (deployment,) = objects(namespace, "deployments")
    kubectl("-n", namespace, "delete", deployment.lower(), "--wait=false")
    teardown(where)
    assert objects(namespace) == []


def test_a_server_that_ends_is_told_with_its_exit_code_and_last_words(namespace, place, model, store, capfd):
    text = failure(place(), model(say="INFO fine\nValueError: no such architecture", exit=3))
    assert "exit code 3" in text
    assert "ValueError: no such architecture" in text
    assert f"loading {store}/good" in capfd.readouterr().err  # the log itself
    assert objects(namespace) == []


def test_a_model_that_is_not_there_is_told(place, store):
    text = failure(place(), Checkpoint(str(store / "gone"), "", "", "", "", 0))
    assert f"{store}/gone" in text


def test_too_little_memory_is_told_as_such(place, model):
    assert "OOMKilled" in failure(place(server_memory="64Mi"), model(allocate_mb=400))


def test_gpus_that_no_node_has_are_told(namespace, place, model):
    text = failure(
        place(gpus=999, server_schedule_timeout_s=4), model(), recipe=RECIPE.model_copy(update={"tensor_parallel_size": 999})
    )
    assert "got no node within 4 s" in text
    assert "Insufficient nvidia.com/gpu" in text
    assert objects(namespace) == []


def test_a_claim_that_does_not_exist_is_told(place, model):
    assert '"elsewhere" not found' in failure(place(claim="elsewhere", server_schedule_timeout_s=4), model())


def test_an_image_that_may_not_be_pulled_is_told_at_once(place, model):
    text = failure(place(server_image="localhost/globe-nothing:0.1.0"), model())
    assert "ErrImageNeverPull" in text
    assert "localhost/globe-nothing:0.1.0" in text


def test_an_image_that_cannot_be_pulled_is_told_with_the_cause(place, model, monkeypatch):
    monkeypatch.setattr(diagnosis, "FOR_A_WHILE", 15.0)
    text = failure(place(server_image="127.0.0.1:9/globe-nothing:0.1.0", server_image_pull_policy="Always"), model())
    assert "does not start" in text
    assert "127.0.0.1:9/globe-nothing:0.1.0" in text
    assert "refused" in text


def test_a_server_that_never_answers_is_told_with_its_probe(place, model):
    text = failure(place(), model(deaf=True), recipe=RECIPE.model_copy(update={"startup_timeout_s": 15}))
    assert "was not ready within 15 s" in text
    assert "probe" in text


def test_a_quota_that_is_used_up_is_told(namespace, place, model):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl("-n", namespace, "apply", "-f", "-", given=yaml.safe_dump(quota))
    wait_until(lambda: "hard" in listed(namespace, "resourcequotas")[0].get("status", {}), "the quota is not in force")
    assert "exceeded quota" in failure(place(server_schedule_timeout_s=6), model())


def test_the_serving_account_may_do_all_that_serving_needs_and_the_pipeline_account_nothing_of_it(
    namespace, place, model, acting_as, monkeypatch, capfd
):
    where = place(namespace="")  # the account's own
    token = acting_as("globe-pipeline")
    text = failure(where, model())
    assert f'"system:serviceaccount:{namespace}:globe-pipeline" cannot' in text
    assert "globe-serving" in text
    assert token not in text + capfd.readouterr().err

    token = acting_as("globe-serving")
    url = start(where, model())["grpo"]
    assert ask(url, "/health") == {}
    assert "exit code 4" in failure(where, model("bad", exit=4), name="other")
    teardown(where)
    assert token not in capfd.readouterr().err
    monkeypatch.undo()
    assert objects(namespace) == []


def test_a_namespace_that_does_not_exist_is_told(place, model):
    text = failure(place(namespace="globe-nowhere"), model())
    assert 'namespaces "globe-nowhere" not found' in text


def test_a_server_that_somebody_has_deleted_is_not_alive(namespace, place, model):
    where = place()
    start(where, model())
    launcher = deploy.deployments(where)
    launcher.require_alive("grpo")
    (deployment,) = objects(namespace, "deployments")
    kubectl("-n", namespace, "delete", deployment.lower(), "--wait=false")
    wait_until(lambda: not objects(namespace, "deployments"), "the deployment is still there")
    with pytest.raises(GlobeError, match="is gone"):
        launcher.require_alive("grpo")
    teardown(where)
