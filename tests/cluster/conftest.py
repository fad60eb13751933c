"""A real cluster for tests: `pytest -m cluster tests/cluster`.

KUBECONFIG            names the cluster; its user must be allowed to make namespaces, volumes, roles and nodes' tokens.
GLOBE_NODE_DOCKER     address of the node's container engine (unix:///...), to put images there; DOCKER_HOST if it is unset.
GLOBE_STAND_IN_IMAGE  an image with the stand-in server, for a cluster whose engine cannot be reached from here.

Pods use the node's network, so that they run, and can be asked from here, on a cluster that has no network between pods.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file

import tiny_image
import yaml
from cluster_tools import await_removal, bound_claim, fresh_namespace, kubectl
from overlays import MANIFESTS

IMAGE = "localhost/globe-stand-in:dev"


@pytest.fixture(scope="session")
def cluster():
    """The official client's connection, as whoever KUBECONFIG says."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("needs KUBECONFIG")
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"])
    return client.ApiClient()


@pytest.fixture(scope="session")
def core(cluster):
    from kubernetes import client

    api = client.CoreV1Api(cluster)
    yield api
    await_removal(api)


@pytest.fixture(scope="session")
def node_docker():
    """Address of the node's container engine."""
    address = os.environ.get("GLOBE_NODE_DOCKER") or os.environ.get("DOCKER_HOST")
    if not address:
        pytest.skip("needs GLOBE_NODE_DOCKER, the address of the node's container engine")
    return address


@pytest.fixture(scope="session")
def load_image(node_docker):
    """A function that copies an image from another container engine to the node's: load_image(reference, docker_host)."""

    def load(reference, docker_host):
        save = subprocess.Popen(["docker", "--host", docker_host, "save", reference], stdout=subprocess.PIPE)
        subprocess.run(["docker", "--host", node_docker, "load"], stdin=save.stdout, check=True, capture_output=True)
        assert save.wait() == 0

    return load


@pytest.fixture(scope="session")
def stand_in_image(cluster, request):
    """An image whose `vllm serve` does what the model's folder says, see stand_in_server.py."""
    given = os.environ.get("GLOBE_STAND_IN_IMAGE")
    if given:
        return given
    tiny_image.load(IMAGE, request.getfixturevalue("node_docker"))
    return IMAGE


@pytest.fixture
def namespace(core):
    """A namespace for one test."""
    with fresh_namespace(core) as name:
        yield name


@pytest.fixture(scope="module")
def shared_namespace(core):
    """A namespace for the tests of a module that leave nothing in it."""
    with fresh_namespace(core) as name:
        yield name


@pytest.fixture
def store(namespace, tmp_path):
    """A folder of the node that is the claim globe-store of the test's namespace; pods see it at /mnt/globe."""
    folder = tmp_path / "claim"
    folder.mkdir()
    folder.chmod(0o2775)
    with bound_claim(namespace, folder):
        yield folder


@pytest.fixture(scope="session")
def tolerations(core):
    """What pods must bear to be put on this cluster's nodes."""
    taints = [taint for node in core.list_node().items for taint in node.spec.taints or []]
    return [{"key": taint.key, "operator": "Exists"} for taint in taints]


@pytest.fixture
def acting_as(cluster, core, namespace, tmp_path, monkeypatch):
    """A function that makes this process act as one of the service accounts of manifests/rbac, with the part release."""
    folders = [MANIFESTS / "rbac", MANIFESTS / "release"]
    documents = [one for folder in folders for one in yaml.safe_load_all(kubectl("kustomize", str(folder)))]
    for document in documents:
        document["metadata"]["namespace"] = namespace
        for subject in document.get("subjects", []):
            subject["namespace"] = namespace
    own = [document for document in documents if not document["kind"].startswith("Cluster")]
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(own))

    def act(account):
        request = {"spec": {"audiences": None}}
        token = core.create_namespaced_service_account_token(account, namespace, request).status.token
        file = tmp_path / "kubeconfig"
        server = {"server": cluster.configuration.host, "insecure-skip-tls-verify": True}
        file.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": server}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                    "current-context": "x",
                }
            )
        )
        monkeypatch.setenv("KUBECONFIG", str(file))
        return token

    return act
