"""Waiting for a Deployment: what ends it, and what a user is told."""

import pytest

from globe.errors import GlobeError
from globe.serving.kube import connect
from globe.serving.rollout import Rollout

LABELS = {"app.kubernetes.io/name": "globe-serving"}


@pytest.fixture
def rollout(api):
    """A Deployment of one pod in the double, and the wait for it."""
    template = {"metadata": {"labels": LABELS}, "spec": {}}
    kube = connect()
    metadata = {"name": "d", "labels": LABELS}
    kube.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": template}})
    return Rollout(kube, "d", LABELS, "the model")


def test_it_waits_until_all_pods_answer_and_tells_each_reason_once(api, rollout, statuses):
    pod_status, ready = statuses
    seen = iter([pod_status({"waiting": {"reason": "ContainerCreating"}})] * 4 + [pod_status({"running": {}})] * 4)
    api.pods_of = lambda deployment: [next(seen, ready())]
    told = []
    rollout.wait(30, 30, told.append)
    assert told == ["d: its container is being made", "d: vllm runs, not ready yet"]
    rollout.require_up()


def test_a_pod_that_is_never_ready_ends_the_wait_with_what_it_does(api, rollout, statuses):
    pod_status, _ = statuses
    api.pods_of = lambda deployment: [pod_status({"running": {}})]
    with pytest.raises(GlobeError, match="the model was not ready within 0 s: vllm runs, not ready yet"):
        rollout.wait(0.1, 30, lambda text: None)
    with pytest.raises(GlobeError, match="the model is not up: vllm runs, not ready yet"):
        rollout.require_up()


def test_what_is_gone_is_told_as_gone(api, rollout):
    api.objects["deployments"].clear()
    with pytest.raises(GlobeError, match="somebody has deleted deployment d in from-context"):
        rollout.wait(30, 30, lambda text: None)
    with pytest.raises(GlobeError, match="the model is gone: there is no deployment d in from-context"):
        rollout.require_up()
