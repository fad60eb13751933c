"""Servers in a cluster: what is asked of its API, in which order, and what a user is told when it goes wrong."""

from dataclasses import replace

import pytest
from cluster_servers import MODEL, failure, start
from cluster_servers import place as where

from globe.errors import GlobeError
from globe.serving import cleanup, deploy
from globe.serving.reward_service import stop_reward_service
from globe.serving.teardown import teardown


def test_a_server_is_applied_by_its_field_manager_and_reached_through_its_service(api):
    url = start()["grpo"]
    (name,) = api.objects["deployments"]
    assert list(api.objects["services"]) == [name]
    assert url == f"http://{name}.from-context.svc.cluster.local:8000/v1"
    applied = [(query["fieldManager"], content) for method, _, _, query, content in api.requests if method == "PATCH"]
    assert applied == [("globe-pipelines", "application/apply-patch+yaml")] * 2


def test_the_namespace_is_the_stages_own_when_none_is_given(api):
    url = start(where("run-1", namespace=""))["grpo"]
    assert ".from-context.svc." in url


def test_on_the_nodes_network_the_url_is_the_pods_own_address(api):
    url = start(where("run-1", host_network=True))["grpo"]
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


def test_fields_that_somebody_has_taken_are_taken_back_and_that_is_told(api, capsys):
    api.foreign_fields = True
    start()
    assert 'taking back: Apply failed with 1 conflict: conflict with "kubectl-patch"' in capsys.readouterr().err
    assert [query["force"] for method, _, _, query, _ in api.requests if method == "PATCH"] == ["False", "True"] * 2


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
    assert not any(api.objects.values())


def test_a_server_without_a_node_in_time_is_told_with_the_schedulers_reason(api, statuses):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient nvidia.com/gpu."}
    api.pods_of = lambda deployment: [{"phase": "Pending", "conditions": [condition]}]
    text = failure(where("run-1", server_schedule_timeout_s=0.1))
    assert text == ("the vLLM server for grpo got no node within 0 s: Unschedulable: Insufficient nvidia.com/gpu.")


def test_when_one_of_two_servers_fails_neither_is_left(api, statuses):
    pod_status, ready = statuses
    bad = pod_status({"waiting": {"reason": "InvalidImageName", "message": "cannot parse"}})
    api.pods_of = lambda deployment: [bad if deployment["metadata"]["labels"]["globe.dev/model"] == "b" else ready()]
    assert "the vLLM server for b does not start: InvalidImageName" in failure(models={"a": MODEL, "b": MODEL})
    assert not any(api.objects.values())


def test_the_reason_is_told_even_if_cleaning_up_fails_too(api, statuses, monkeypatch, capsys):
    pod_status, _ = statuses
    api.pods_of = lambda deployment: [pod_status({"waiting": {"reason": "InvalidImageName"}})]
    monkeypatch.setattr(cleanup, "DELETION_TIMEOUT_S", 0.05)
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


def versions(api):
    return {(kind, name): item["metadata"]["resourceVersion"] for kind in api.objects for name, item in api.objects[kind].items()}


def test_the_same_call_again_changes_nothing_neither_for_a_model_nor_for_the_reward_model(api, claim):
    place = where("run-1", 1, claim)
    for models in ({"grpo": MODEL}, {"grpo": MODEL, "reward_model": MODEL}):
        urls = start(place, models)
        before = versions(api)
        assert start(place, models) == urls
        assert versions(api) == before


def test_a_model_that_fails_where_another_was_served_is_taken_back_and_the_reason_told(api, claim, statuses, capsys):
    pod_status, ready = statuses
    place = where("run-1", 1, claim)
    start(place)
    (served,) = api.objects["deployments"].values()
    bad = pod_status({"waiting": {"reason": "InvalidImageName", "message": "cannot parse"}})
    api.pods_of = lambda now: [ready() if now["spec"]["template"] == served["spec"]["template"] else bad]
    with pytest.raises(GlobeError, match="InvalidImageName: image"):
        start(place, {"grpo": replace(MODEL, uri=f"{MODEL.uri}-2"), "new": MODEL})
    (left,) = api.objects["deployments"].values()
    assert left["spec"] == served["spec"]
    assert left["metadata"]["labels"] == served["metadata"]["labels"]
    assert list(api.objects["services"]) == [served["metadata"]["name"]]  # what the failed call made besides is gone
    assert "rolled back to what it served before" in capsys.readouterr().err


def test_a_server_that_runs_already_outlives_the_failure_of_one_beside_it(api, claim, statuses):
    pod_status, ready = statuses
    place = where("run-1", 1, claim)
    start(place)
    before = versions(api)
    bad = pod_status({"waiting": {"reason": "InvalidImageName"}})
    api.pods_of = lambda deployment: [bad if deployment["metadata"]["labels"]["globe.dev/model"] == "b" else ready()]
    with pytest.raises(GlobeError, match="for b does not start"):
        start(place, {"grpo": MODEL, "b": MODEL})
    assert versions(api) == before


# Keys: one for each server, in the run's records, nowhere else, for as long as the server lives


def keys_of(claim):
    return {path.name.rpartition("-")[0]: path for path in (claim / "runs" / "run-1").glob("*.key")}


def test_each_server_of_a_run_has_a_key_of_its_own_that_no_request_to_the_cluster_holds(api, claim, capsys):
    start(where("run-1", 1, claim), {"grpo": MODEL, "reward_model": MODEL})
    keys = {name: path.read_text() for name, path in keys_of(claim).items()}
    assert keys.keys() == {"server-grpo", "server-reward_model"}
    assert len(set(keys.values())) == 2
    told = str(api.objects) + str(api.requests) + capsys.readouterr().err
    assert not any(key in told for key in keys.values())
    assert all(path.stat().st_mode & 0o007 == 0 for path in keys_of(claim).values())


def test_a_stage_that_starts_again_finds_its_server_with_its_key_and_a_lost_key_makes_a_new_pod(api, claim):
    templates = []
    for lost in (False, False, True):
        if lost:
            keys_of(claim)["server-grpo"].unlink()
        start(where("run-1", 1, claim))
        (deployment,) = api.objects["deployments"].values()
        templates.append((deployment["spec"]["template"], keys_of(claim)["server-grpo"].read_text()))
    assert templates[0] == templates[1]
    assert templates[1][0] != templates[2][0]
    assert templates[1][1] != templates[2][1]


def test_a_server_that_did_not_come_up_leaves_no_key(api, claim, statuses):
    pod_status, _ = statuses
    ended = {"exitCode": 1, "reason": "Error"}
    api.pods_of = lambda deployment: [
        pod_status({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=2, lastState={"terminated": ended})
    ]
    failure(where("run-1", 1, claim))
    assert keys_of(claim) == {}


def test_a_key_goes_with_its_server_and_stays_while_a_pod_does_not_end(api, claim, monkeypatch):
    place = where("run-1", 1, claim)
    start(place, {"grpo": MODEL, "reward_model": MODEL})
    stop_reward_service(place)
    assert keys_of(claim).keys() == {"server-grpo"}
    monkeypatch.setattr(cleanup, "DELETION_TIMEOUT_S", 0.05)
    api.lingering = 10**6
    with pytest.raises(GlobeError, match="still there"):
        teardown(place)
    assert keys_of(claim).keys() == {"server-grpo"}
    api.lingering = 0
    teardown(place)
    assert keys_of(claim) == {}
