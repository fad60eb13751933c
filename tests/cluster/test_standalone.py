"""A checkpoint served by hand: manifests/serving/overlays/ci, with its settings edited, applied as people do.

The gateway is the real one, and vLLM is stood in for. The pods need a network of their own, as in test_release.py.
"""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
import tiny_image
import yaml
from cluster_tools import kubectl, wait_until

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
IMAGE = "localhost/globe-gateway-stand-in:dev"


@pytest.fixture(scope="module")
def image(node_docker):
    tiny_image.load(IMAGE, node_docker, gateway=True)
    return IMAGE


@pytest.fixture
def rendered(tmp_path, namespace, store, image, tolerations):
    """A function: the overlay's objects for a checkpoint of that name, made to fit on a laptop's node."""
    shutil.copytree(MANIFESTS / "serving", tmp_path / "serving")
    overlay = tmp_path / "serving" / "overlays" / "ci"
    (store / "model").mkdir()
    (store / "model" / "config.json").write_text("{}")
    (store / "model" / "model.safetensors").write_bytes(b"weights")

    def render(checkpoint):
        settings = yaml.safe_load((overlay / "settings.yaml").read_text())
        told = {"namespace": namespace, "checkpoint": f"/mnt/globe/{checkpoint}", "model": "mine", "name": "mine", "image": image}
        settings["data"] |= told | {"cpu": "20m", "memory": "256Mi"}
        (overlay / "settings.yaml").write_text(yaml.safe_dump(settings))
        documents = list(yaml.safe_load_all(kubectl("kustomize", str(overlay))))
        (pod,) = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "Deployment"]
        pod["tolerations"] = tolerations
        for container in (*pod["initContainers"], *pod["containers"]):
            container["imagePullPolicy"] = "Never"
            container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}}
        newer = "PodDisruptionBudget"  # policy/v1, which Kubernetes before 1.21 does not have
        return yaml.safe_dump_all([document for document in documents if document["kind"] != newer])

    return render


def pods(namespace):
    return json.loads(kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]


def models(pod):
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8080/v1/models", timeout=10) as answer:
        return [card["id"] for card in json.load(answer)["data"]]


def test_a_checkpoint_is_served_by_hand_a_wrong_path_takes_nothing_down_and_all_of_it_is_taken_away_again(rendered, namespace):
    kubectl("apply", "-f", "-", given=rendered("model"))
    kubectl("-n", namespace, "rollout", "status", "deployment/mine", "--timeout=240s")
    (pod,) = pods(namespace)
    assert models(pod) == ["mine"]
    endpoints = json.loads(kubectl("-n", namespace, "get", "endpoints", "mine", "-o", "json"))
    assert [(one["addresses"][0]["ip"], one["ports"][0]["port"]) for one in endpoints["subsets"]] == [
        (pod["status"]["podIP"], 8080)
    ]

    kubectl("apply", "-f", "-", given=rendered("absent"))

    def told():
        new = [one for one in pods(namespace) if one["metadata"]["name"] != pod["metadata"]["name"]]
        first = [status for one in new for status in one["status"].get("initContainerStatuses", [])]
        states = [state["terminated"] for one in first for state in (one["state"], one["lastState"]) if "terminated" in state]
        return [state["message"] for state in states if "/mnt/globe/absent" in state.get("message", "")]

    wait_until(told, "the new pod does not say what is wrong")
    assert len(told()[0].strip().splitlines()) == 1
    assert models(pod) == ["mine"]  # the old one goes on

    kubectl("delete", "-f", "-", given=rendered("model"))
    wait_until(lambda: not pods(namespace), "a pod is left")
