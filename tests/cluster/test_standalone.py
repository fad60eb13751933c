"""A checkpoint served by hand: what manifests/serving/overlays/standalone renders to, applied as people do."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
import yaml
from cluster_tools import kubectl, wait_until

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
PORT = 23_456


@pytest.fixture
def rendered(tmp_path, namespace, store, stand_in_image):
    """The overlay after somebody has edited its settings, moved to the test's namespace and the node's network."""
    (store / "model").mkdir()
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    overlay = tmp_path / "manifests" / "serving" / "overlays" / "standalone"
    settings = yaml.safe_load((overlay / "settings.yaml").read_text())
    settings["data"] |= {"checkpoint": "/mnt/globe/model", "model": "mine"}
    (overlay / "settings.yaml").write_text(yaml.safe_dump(settings))
    documents = list(yaml.safe_load_all(kubectl("kustomize", str(overlay))))
    for document in documents:
        document["metadata"]["namespace"] = namespace
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    container = pod["containers"][0]
    container |= {"image": stand_in_image, "imagePullPolicy": "Never"}
    container["resources"] = {"limits": {"memory": "128Mi", "nvidia.com/gpu": "1"}}
    container["ports"][0] |= {"containerPort": PORT, "hostPort": PORT}
    container["args"][container["args"].index("--port") + 1] = str(PORT)
    pod["terminationGracePeriodSeconds"] = 5
    container["lifecycle"]["preStop"]["exec"]["command"] = ["sleep", "1"]
    return yaml.safe_dump_all(documents)


def test_a_checkpoint_is_served_by_hand_and_taken_away_again(rendered, namespace):
    kubectl("apply", "-f", "-", given=rendered)
    kubectl("-n", namespace, "rollout", "status", "deployment/globe", "--timeout=120s")
    (pod,) = json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{PORT}/v1/models", timeout=10) as answer:
        assert json.load(answer)["data"][0]["id"] == "mine"
    endpoints = json.loads(kubectl("-n", namespace, "get", "endpoints", "globe", "-o", "json"))
    assert endpoints["subsets"][0]["addresses"][0]["ip"] == pod["status"]["podIP"]
    kubectl("delete", "-f", "-", given=rendered)
    wait_until(lambda: not json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"], "a pod is left")
