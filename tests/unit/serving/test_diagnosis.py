"""Why a server is not up, from statuses, events and logs as clusters and vLLM really give them."""

import pytest

from globe.serving.diagnosis import (
    FOR_A_WHILE,
    FOREVER,
    MAX_LOG_CHARACTERS,
    NOT_AT_ALL,
    diagnose,
    is_scheduled,
    is_up,
    last_words,
    last_words_of,
)

SCHEDULED = {"type": "PodScheduled", "status": "True"}


def deployment(**labels):
    return {"metadata": {"name": "d", "generation": 2, "labels": labels}, "spec": {"replicas": 1}, "status": {}}


def pod(status, name="p", created="2026-11-22T13:00:00Z", **metadata):
    return {"metadata": {"name": name, "creationTimestamp": created} | metadata, "status": status}


def container(state, *, restarts=0, init=(), last=None):
    status = {"name": "vllm", "image": "globe-serve:0.1.0", "restartCount": restarts, "state": state}
    status |= {"lastState": {"terminated": last}} if last else {}
    found = {"phase": "Running", "conditions": [SCHEDULED], "containerStatuses": [status]}
    return found | ({"initContainerStatuses": list(init)} if init else {})


def told(status, *events, **labels):
    return diagnose(deployment(**labels), [pod(status)], lambda name: list(events))


def warning(reason, message):
    return {"type": "Warning", "reason": reason, "message": message}


WAITING = [
    ("ErrImageNeverPull", NOT_AT_ALL),
    ("InvalidImageName", NOT_AT_ALL),
    ("ErrImagePull", FOR_A_WHILE),
    ("ImagePullBackOff", FOR_A_WHILE),
    ("CreateContainerConfigError", FOR_A_WHILE),
    ("CreateContainerError", FOR_A_WHILE),
    ("RunContainerError", FOR_A_WHILE),
    ("ContainerCreating", FOREVER),
    ("PodInitializing", FOREVER),
]


@pytest.mark.parametrize(("reason", "patience_s"), WAITING)
def test_what_hardly_mends_itself_is_not_waited_for_as_long_as_what_does(reason, patience_s):
    found = told(container({"waiting": {"reason": reason, "message": "because"}}))
    assert found.worth_waiting_s == patience_s
    if patience_s < FOREVER:
        assert reason in found.text
        assert "because" in found.text


def test_a_pull_that_backs_off_is_told_with_the_cause_of_its_first_try():
    first = warning("Failed", 'Failed to pull image "x": rpc error: manifest unknown')
    later = warning("Failed", "Error: ImagePullBackOff")
    found = told(container({"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}), first, later)
    assert "manifest unknown" in found.text


def test_a_missing_secret_is_told():
    found = told(container({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "globe-s3" not found'}}))
    assert found.text == 'CreateContainerConfigError: secret "globe-s3" not found'


def test_a_first_crash_may_be_an_accident_a_third_is_not():
    ended = {"exitCode": 1, "reason": "Error"}
    back_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert told(container({"terminated": ended})).worth_waiting_s == FOREVER
    assert told(container(back_off, restarts=1, last=ended)).worth_waiting_s == FOREVER
    hopeless = told(container(back_off, restarts=2, last=ended))
    assert hopeless.worth_waiting_s == NOT_AT_ALL
    assert hopeless.text == "vllm ended with exit code 1, 2 restarts"


def test_the_log_of_the_run_that_ended_is_the_one_to_read():
    ended = {"exitCode": 1, "reason": "Error"}
    now = told(container({"terminated": ended}))
    before = told(container({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=1, last=ended))
    assert (now.pod, now.container, now.previous) == ("p", "vllm", False)
    assert (before.pod, before.container, before.previous) == ("p", "vllm", True)


def test_a_server_that_runs_again_is_given_its_chance():
    found = told(container({"running": {}}, restarts=5, last={"exitCode": 1, "reason": "Error"}))
    assert found.worth_waiting_s == FOREVER
    assert "after vllm ended with exit code 1" in found.text


def test_too_little_memory_is_told_with_what_to_raise():
    found = told(container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))
    assert "OOMKilled (exit code 137)" in found.text
    assert "raise cluster.server_memory in the profile" in found.text


def test_a_server_that_its_probe_has_killed_is_told_with_the_probe():
    killing = {"type": "Normal", "reason": "Killing", "message": "Container vllm failed startup probe, will be restarted"}
    unhealthy = warning("Unhealthy", "Startup probe failed: connection refused")
    found = told(container({"terminated": {"exitCode": 143, "reason": "Error"}}), unhealthy, killing)
    assert "failed startup probe" in found.text
    assert "Startup probe failed: connection refused" in found.text


def test_a_server_that_runs_is_told_with_its_last_failed_probe():
    found = told(container({"running": {}}), warning("Unhealthy", "Readiness probe failed: 503"), warning("Other", "nothing"))
    assert found.text == "vllm runs, not ready yet: Readiness probe failed: 503"


def test_a_volume_that_cannot_be_mounted_is_told_and_what_is_over_is_not():
    creating = {"waiting": {"reason": "ContainerCreating"}}
    over = warning("FailedScheduling", "0/1 nodes are available")
    assert told(container(creating), over).text == "its container is being made"
    found = told(container(creating), over, warning("FailedMount", "mount.nfs: access denied"))
    assert "mount.nfs: access denied" in found.text


def test_what_fetches_the_weights_is_told_before_the_server():
    fetcher = {"name": "fetch-weights", "ready": False, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    fetcher["lastState"] = {"terminated": {"exitCode": 2, "reason": "Error"}}
    found = told(container({"waiting": {"reason": "PodInitializing"}}, init=[fetcher]))
    assert found.text == "fetch-weights ended with exit code 2, 2 restarts"
    assert found.container == "fetch-weights"
    done = fetcher | {"ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert "vllm runs" in told(container({"running": {}}, init=[done])).text


def test_no_room_on_any_node_is_told_with_the_schedulers_words():
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = told({"phase": "Pending", "conditions": [condition]})
    assert found.text == f"Unschedulable: {message}"
    assert found.worth_waiting_s == FOREVER


def test_a_pod_that_kueue_holds_back_waits_for_its_queue():
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "non-empty scheduling gates"}
    status = {"phase": "Pending", "conditions": [condition]}
    assert told(status, **{"kueue.x-k8s.io/queue-name": "gpus"}).text == "waits for quota in queue gpus"
    assert "SchedulingGated" in told(status).text


def test_a_pod_that_was_driven_out_is_told():
    found = told({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."})
    assert found.text == "Evicted: The node was low on resource: ephemeral-storage."


@pytest.mark.parametrize(
    ("message", "patience_s"),
    [
        ('pods "d-1" is forbidden: exceeded quota: none', FOREVER),
        ('pods "d-1" is forbidden: violates PodSecurity "restricted:latest"', FOR_A_WHILE),
    ],
)
def test_pods_that_may_not_be_made_are_told_with_the_reason(message, patience_s):
    refused = deployment()
    refused["status"] = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": message}]}
    found = diagnose(refused, [], lambda name: [])
    assert found.text == f"no pod may be made: {message}"
    assert found.worth_waiting_s == patience_s


def test_the_newest_pod_counts_and_those_on_their_way_out_do_not():
    old = pod(container({"waiting": {"reason": "InvalidImageName"}}), created="2026-11-22T12:00:00Z")
    new = pod(container({"running": {}}), name="new", created="2026-11-22T13:00:00Z")
    leaving = pod(container({"waiting": {"reason": "InvalidImageName"}}), created="2026-11-22T14:00:00Z", deletionTimestamp="x")
    assert diagnose(deployment(), [old, new, leaving], lambda name: []).pod == "new"
    assert diagnose(deployment(), [leaving], lambda name: []).text == "the pod before it is ending"
    assert diagnose(deployment(), [], lambda name: []).text == "its pod is being made"


def test_a_pod_that_nobody_has_looked_at_yet_is_no_failure():
    assert diagnose(deployment(), [pod({"phase": "Pending"})], lambda name: []).worth_waiting_s == FOREVER
    assert not is_scheduled([pod({"phase": "Pending"})])
    assert is_scheduled([pod({"phase": "Pending", "conditions": [SCHEDULED]})])


UP = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


@pytest.mark.parametrize(
    ("change", "up"),
    [
        ({}, True),
        ({"observedGeneration": 1}, False),  # the status still tells of what was there before
        ({"availableReplicas": 0}, False),
        ({"updatedReplicas": 0}, False),
        ({"replicas": 2}, False),  # a pod of the version before is still there
    ],
)
def test_a_server_is_up_when_its_newest_version_answers_and_nothing_else_is_left(change, up):
    assert is_up(deployment() | {"status": UP | change}) is up
    assert not is_up(deployment())


def test_a_long_message_is_one_line_of_bearable_length():
    found = told(container({"waiting": {"reason": "CreateContainerError", "message": "very\n long " * 500}}))
    assert "\n" not in found.text
    assert len(found.text) <= 500


VLLM = """\
(APIServer pid=1) INFO 11-22 14:48:01 [api_server.py:12] vLLM API server version 0.32.0
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953]     with safe_open(st_file, framework="pt") as f:
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953]          ^^^^^^^^^^^^^^^^^^^
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953] FileNotFoundError: No such file or directory: /m/x.safetensors
(EngineCore pid=18) INFO 11-22 14:48:21 [multiproc_executor.py:486] [shutdown] Executor: all workers exited gracefully
(EngineCore pid=18) ERROR 11-22 14:48:21 [core.py:1510] EngineCore failed to start.
(EngineCore pid=18) ERROR 11-22 14:48:21 [core.py:1510] Exception: WorkerProc failed. See stack trace for root cause.
Process EngineCore:
Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/vllm/v1/engine/utils.py", line 1431, in wait_for_engine_startup
    raise RuntimeError(
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def test_the_cause_is_told_before_those_who_only_say_that_there_is_one():
    words = last_words(VLLM)
    assert words.startswith("FileNotFoundError: No such file or directory: /m/x.safetensors | ")
    assert words.endswith("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")


def test_a_log_without_errors_is_told_by_its_last_lines_that_say_something():
    assert last_words("one\n\ntwo  \n   \n^^^^\nthree\n~~~~\nfour\n") == "two | three | four"


def test_a_cause_among_the_last_lines_is_told_once():
    assert last_words("loading\nINFO fine\nValueError: no such model\n") == "loading | INFO fine | ValueError: no such model"


def test_an_empty_log_says_nothing():
    assert last_words("") == ""


def test_it_is_one_line_of_bearable_length(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"ValueError: " + b"x" * 10**6 + b"\n\xff\xfe" + b"y" * 10**6 + b"\nend\n")
    words = last_words_of(log)
    assert "\n" not in words
    assert len(words) <= MAX_LOG_CHARACTERS


@pytest.mark.parametrize(("code", "hope"), [(2, NOT_AT_ALL), (1, FOREVER)])
def test_what_checks_the_weights_and_says_that_they_are_not_there_is_not_tried_again(code, hope):
    checking = {"name": "checkpoint", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": code}}}
    found = told(container({"waiting": {"reason": "PodInitializing"}}, init=[checking]))
    assert (found.text, found.worth_waiting_s, found.container) == (f"checkpoint ended with exit code {code}", hope, "checkpoint")


def test_a_server_that_ends_with_code_2_is_tried_again_as_with_any_other():
    assert told(container({"terminated": {"exitCode": 2}})).worth_waiting_s == FOREVER


@pytest.mark.parametrize("state", [{"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {}}, {"terminated": {"exitCode": 3}}])
def test_beside_a_gateway_that_waits_it_is_the_server_that_keeps_ending_that_is_told(state):
    status = container(state, restarts=2, last={"exitCode": 3})
    gateway = {"name": "gateway", "image": "globe-serve:0.1.0", "ready": False, "restartCount": 0, "state": {"running": {}}}
    status["containerStatuses"].insert(0, gateway)  # by name, as the kubelet lists them
    assert "vllm ended with exit code 3, 2 restarts" in told(status).text
    status["containerStatuses"][1] |= {"ready": True, "state": {"running": {}}}
    assert told(status).text == "gateway runs, not ready yet"
