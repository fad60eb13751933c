"""Servers in a cluster: what is asked of its API, in which order, and what a user is told when it goes wrong."""

import subprocess
import sys

import pytest

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import Checkpoint
from globe.serving import deploy, kube
from globe.serving.place import Place
from globe.serving.recipe import ServingRecipe
from globe.serving.servers import serve, stop_one, tear_down

TOKEN = "a-token-that-nobody-must-see"
MODEL = Checkpoint("/mnt/globe/store/model", "", "", "", "", 0)
CLUSTER = {"image": "registry.example/globe-serve:0.1.0", "namespace": "globe"}


def start(place=None, models=None, **options):
    recipe = ServingRecipe(startup_timeout_s=30)
    return serve(
        "serving",
        models or {"grpo": MODEL},
        recipe,
        place or Place("run-1", 1, cluster=CLUSTER),
        needed=True,
        reason="",
        **options,
    )


def failure(*arguments, **options):
    with pytest.raises(GlobeError) as caught:
        start(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert TOKEN not in text
    return text


def asked(api, method):
    return [(kind, name) for asked_method, kind, name, *_ in api.requests if asked_method == method]


def test_a_server_is_applied_by_its_field_manager_and_reached_through_its_service(api):
    url = start()["grpo"]
    (name,) = api.objects["deployments"]
    assert list(api.objects["services"]) == [name]
    assert url == f"http://{name}.globe.svc.cluster.local:8000/v1"
    applied = [(query["fieldManager"], content) for method, _, _, query, content in api.requests if method == "PATCH"]
    assert applied == [("globe-pipelines", "application/apply-patch+yaml")] * 2


def test_the_namespace_is_the_stages_own_when_none_is_given(api):
    url = start(Place("run-1", cluster=CLUSTER | {"namespace": ""}))["grpo"]
    assert ".from-context.svc." in url


def test_on_the_nodes_network_the_url_is_the_pods_own_address(api):
    url = start(Place("run-1", cluster=CLUSTER | {"host_network": True}))["grpo"]
    (deployment,) = api.objects["deployments"].values()
    port = deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"]
    assert url == f"http://10.0.0.7:{port}/v1"


def test_a_server_is_waited_for_even_if_the_next_stage_would_wait_itself(api, statuses):
    pod_status, ready = statuses
    seen = iter([pod_status({"waiting": {"reason": "ContainerCreating"}}), pod_status({"running": {}})] * 3)
    api.pods_of = lambda deployment: [next(seen, ready())]
    assert start(wait=False)


def test_what_is_waited_for_is_told_once_each_time_it_changes(api, statuses, capsys):
    pod_status, ready = statuses
    gone_by = []

    def pods(deployment):
        gone_by.append(1)
        return [pod_status({"waiting": {"reason": "ContainerCreating"}}) if len(gone_by) < 20 else ready()]

    api.pods_of = pods
    start()
    assert capsys.readouterr().err.count("container is being made") == 1


def test_nothing_is_asked_of_the_cluster_when_nobody_will_ask_the_server(api):
    place = Place("run-1", cluster=CLUSTER)
    assert serve("serving", {"grpo": MODEL}, ServingRecipe(), place, needed=False, reason="finished") == {}
    assert api.requests == []


def test_fields_that_somebody_has_taken_are_taken_back_and_that_is_told(api, capsys):
    api.foreign_fields = True
    start()
    assert 'taking back: Apply failed with 1 conflict: conflict with "kubectl-patch"' in capsys.readouterr().err
    assert [query["force"] for method, _, _, query, _ in api.requests if method == "PATCH"] == ["false", "true"] * 2


def test_an_api_that_is_away_for_a_moment_is_asked_again(api):
    api.answers = [503, 500, 429, 504]
    assert start()
    api.answers = [502, 503]
    tear_down("teardown", Place("run-1", cluster=CLUSTER))
    assert api.objects == {"deployments": {}, "services": {}}


def test_an_api_that_stays_away_is_told_with_its_address(api, monkeypatch):
    monkeypatch.setattr(kube, "PATIENCE_S", 0.1)
    api.config.write_text(api.config.read_text().replace(api.url, "http://127.0.0.1:9"))
    assert "the cluster's API at 127.0.0.1:9 does not answer" in failure()


def test_refused_credentials_are_told_without_showing_them(api, capsys):
    api.answers = [401] * 20
    assert "does not accept the credentials (401)" in failure()
    assert TOKEN not in capsys.readouterr().err


def test_a_missing_right_is_told_with_what_grants_it(api):
    message = 'services "x" is forbidden: User "system:serviceaccount:globe:default" cannot patch resource "services"'
    api.answers = [(403, message)] * 20
    text = failure()
    assert message in text
    assert "manifests/rbac" in text


def test_a_refusal_for_another_reason_is_not_told_as_a_missing_right(api):
    api.answers = [(403, 'services "x" is forbidden: exceeded quota: services')]
    text = failure()
    assert "exceeded quota" in text
    assert "manifests/rbac" not in text


def test_a_missing_namespace_is_told_as_such(api):
    api.answers = [(404, 'namespaces "globe" not found')]
    with pytest.raises(InputError, match='namespaces "globe" not found; create the namespace'):
        start()


def test_a_server_that_keeps_ending_is_told_with_its_last_words_and_removed(api, statuses, capsys):
    pod_status, _ = statuses
    ended = {"exitCode": 1, "reason": "Error"}
    crashing = pod_status({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=2, lastState={"terminated": ended})
    api.pods_of = lambda deployment: [crashing]
    api.logs = {f"{deploy.server_name('run-1', 'grpo')}-0": "one\ntwo\nRuntimeError: no CUDA device\n"}
    text = failure()
    assert "vllm ended with exit code 1, 2 restarts" in text
    assert "RuntimeError: no CUDA device" in text
    assert "one\ntwo\n" in capsys.readouterr().err  # the log itself, for the stage's own
    assert api.objects == {"deployments": {}, "services": {}}


def test_a_server_without_a_node_in_time_is_told_with_the_schedulers_reason(api, statuses):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient nvidia.com/gpu."}
    api.pods_of = lambda deployment: [{"phase": "Pending", "conditions": [condition]}]
    text = failure(Place("run-1", cluster=CLUSTER | {"schedule_timeout_s": 0.1}))
    assert text == ("the vLLM server for grpo got no node within 0 s: Unschedulable: Insufficient nvidia.com/gpu.")


def test_when_one_of_two_servers_fails_neither_is_left(api, statuses):
    pod_status, ready = statuses
    bad = pod_status({"waiting": {"reason": "InvalidImageName", "message": "cannot parse"}})
    api.pods_of = lambda deployment: [bad if deployment["metadata"]["labels"]["globe.dev/model"] == "b" else ready()]
    assert "the vLLM server for b does not start: InvalidImageName" in failure(models={"a": MODEL, "b": MODEL})
    assert api.objects == {"deployments": {}, "services": {}}


def test_the_reason_is_told_even_if_cleaning_up_fails_too(api, statuses, monkeypatch, capsys):
    pod_status, _ = statuses
    api.pods_of = lambda deployment: [pod_status({"waiting": {"reason": "InvalidImageName"}})]
    monkeypatch.setattr(deploy, "DELETION_TIMEOUT_S", 0.05)
    api.lingering = 10**6
    assert "InvalidImageName" in failure()
    assert "is left to the tear-down" in capsys.readouterr().err


def test_a_deployment_that_somebody_deletes_meanwhile_ends_the_wait(api, statuses):
    pod_status, _ = statuses

    def vanish(deployment):
        api.objects["deployments"].clear()
        return [pod_status({"running": {}})]

    api.pods_of = vanish
    assert "somebody has deleted deployment" in failure()


def test_tear_down_waits_until_the_pods_are_gone(api, capsys):
    start()
    api.lingering = 3
    tear_down("teardown", Place("run-1", cluster=CLUSTER))
    assert api.lingering == 0
    assert "ended the servers of grpo" in capsys.readouterr().err


def test_tear_down_tells_of_pods_that_do_not_go(api, monkeypatch):
    start()
    monkeypatch.setattr(deploy, "DELETION_TIMEOUT_S", 0.05)
    api.lingering = 10**6
    with pytest.raises(GlobeError, match="still there 0 s after they were deleted: old"):
        tear_down("teardown", Place("run-1", cluster=CLUSTER))


def test_tear_down_is_content_with_what_is_gone_already_or_was_never_made(api):
    place = Place("run-1", cluster=CLUSTER)
    tear_down("teardown", place)
    assert asked(api, "DELETE") == []
    start()
    api.objects["deployments"].clear()  # only the service is left, as after a stage that was killed
    tear_down("teardown", place)
    assert api.objects["services"] == {}
    assert kube.connect().delete("Deployment", "gone-between-list-and-delete") is False


def test_only_the_asked_models_server_of_this_run_is_ended(api):
    one, other = Place("run-1", cluster=CLUSTER), Place("run-2", cluster=CLUSTER)
    start(one, {"a": MODEL, "b": MODEL})
    start(other, {"a": MODEL})
    stop_one("reward_service", "a", one)
    left = [deployment["metadata"]["labels"] for deployment in api.objects["deployments"].values()]
    assert sorted((labels["globe.dev/run"], labels["globe.dev/model"]) for labels in left) == [("run-1", "b"), ("run-2", "a")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "no way into a cluster"), ("not: [yaml", "no way into a cluster"), ("{}", "no way into a cluster")],
    ids=["missing", "malformed", "empty"],
)
def test_an_unusable_kubeconfig_is_told_in_one_line(tmp_path, monkeypatch, content, expected):
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    text = failure()
    assert expected in text
    assert str(file) in text


def test_a_pod_without_a_token_is_told_in_one_line(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert "this pod's service account" in failure()


def test_a_laptop_does_not_load_the_clusters_client():
    code = "import sys, globe.serving.servers; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
