"""The demo's stages as pods of a real cluster: images, claim, rights, servers, GPUs by the scheduler's own account.

Needs KUBECONFIG, the images localhost/globe-*:cpu in the node's engine, and GLOBE_NODE_DOCKER for copying them there.
"""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from cluster_tools import kubectl, wait_until
from kfp import local
from pods import Pods, kubeconfig_of, kubeconfig_secret

from components.images import NAMES, image
from globe.run.cluster import Cluster, Size
from globe.run.stages import STAGES
from pipelines.catalog import PIPELINES
from pipelines.profile import arguments_of, load_profile

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
TRAINING = PIPELINES["training"]
SMALL = Size(cpu="50m", memory="1Gi", shm="64Mi")
LARGE = Size(cpu="200m", memory="5Gi", shm="256Mi")
ON_GPUS = ("sft", "reward_model", "grpo", "baselines")


@pytest.fixture(scope="session")
def images(load_image, node_docker):
    """Pinned reference to local image, copied to the node's engine when GLOBE_IMAGES_DOCKER names another one."""
    local_images = {image(name): f"localhost/globe-{name}:cpu" for name in NAMES}
    if engine := os.environ.get("GLOBE_IMAGES_DOCKER"):
        for reference in local_images.values():
            load_image(reference, engine)
    # The server's image is named by the pins alone: no task of the pipeline runs in it.
    subprocess.run(["docker", "--host", node_docker, "tag", local_images[image("serve")], image("serve")], check=True)
    return local_images


@pytest.fixture
def rights(core, namespace):
    """The project's own role in the test's namespace; a secret with its account's kubeconfig."""
    manifests = kubectl("kustomize", str(Path(__file__).parents[2] / "manifests" / "rbac"))
    kept = []
    for manifest in yaml.safe_load_all(manifests):
        if manifest["kind"].startswith("Cluster"):
            continue
        manifest["metadata"]["namespace"] = namespace
        for subject in manifest.get("subjects", []):
            subject["namespace"] = namespace
        kept.append(manifest)
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(kept))

    def token():
        account = core.read_namespaced_service_account("globe-serving", namespace)
        return account.secrets and core.read_namespaced_secret(account.secrets[0].name, namespace).data

    wait_until(token, "the service account got no token")
    server = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]["server"]
    return kubeconfig_secret(core, namespace, kubeconfig_of(base64.b64decode(token()["token"]).decode(), server))


@pytest.fixture
def run(cluster, namespace, store, images, tolerations, rights, tmp_path, monkeypatch):
    """Runs training with the smallest profile as pods; returns the runner with what it saw."""

    def start(**settings):
        os.umask(0o002)  # the orchestrator makes folders that the pods' user must write to
        small = dict.fromkeys(STAGES, SMALL) | dict.fromkeys((*ON_GPUS, "curation"), LARGE)
        place = Cluster(
            namespace=namespace,
            sizes=small,
            queue="",
            check_nodes=False,
            server_cpu="200m",
            server_memory="5Gi",
            server_shm="256Mi",
            host_network=True,
        )
        graph = TRAINING.build(place)
        arguments = arguments_of(TRAINING, load_profile("smoke"), settings)
        arguments |= {"store": "/mnt/globe/store", "tolerations": tolerations}
        (store / "store").mkdir(exist_ok=True)
        (store / "store").chmod(0o2775)
        root = tmp_path / "kfp"
        root.mkdir(exist_ok=True)
        root.chmod(0o2775)
        pods = Pods(cluster, namespace, images, arguments, tolerations, rights)
        pods.use(graph, monkeypatch)
        local.init(local.DockerRunner(), pipeline_root=str(root))
        failure = None
        try:
            graph(**arguments)
        except RuntimeError as error:
            failure = str(error)
        return pods, failure

    return start


def test_every_stage_runs_as_a_pod_and_the_model_is_served_from_a_deployment(run, store, namespace):
    pods, failure = run()
    assert failure is None, pods.history
    ended = {stage: (phase, code) for stage, phase, code, _ in pods.history}
    assert {"validate", "source", "curation", "sft", "reward-model", "grpo", "serving", "evaluation", "gate", "teardown"} <= set(
        ended
    )
    assert set(ended.values()) == {("Succeeded", 0)}
    promoted = json.loads((store / "store" / "promoted.json").read_text())
    assert promoted["uri"].startswith("grpo/")
    assert kubectl("-n", namespace, "get", "deployments,services", "-l", "app.kubernetes.io/part-of=globe", "-o", "name") == ""


def test_a_stage_that_was_promised_gpus_it_cannot_see_stops_at_once(run):
    """The node only pretends to have GPUs: the scheduler grants eight, and the stage finds none."""
    pods, failure = run(
        **{"sft_gpus": 8, "sft.environment": {"NPROC_PER_NODE": "8"}, "train_reward_model": False, "source.toy_pictures": 60}
    )
    assert failure
    ended = {stage: (phase, code) for stage, phase, code, _ in pods.history}
    assert ended["sft"] == ("Failed", 1)
    assert pods.specs["sft"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert ended["teardown"] == ("Succeeded", 0)


def test_more_gpus_than_the_node_has_are_never_scheduled(run):
    pods, failure = run(
        **{"sft_gpus": 16, "sft.environment": {"NPROC_PER_NODE": "16"}, "train_reward_model": False, "source.toy_pictures": 60}
    )
    assert failure
    (why,) = [reasons for stage, _, _, reasons in pods.history if stage == "sft"]
    assert "Insufficient nvidia.com/gpu" in why[0]
