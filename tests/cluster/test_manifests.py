"""The API server itself judges what lies in manifests/, and what the pipelines make of it: nothing is changed (dry run)."""

from pathlib import Path

import pytest
import yaml
from cluster_tools import kubectl

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
FOLDERS = sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml"))
KUEUE = "kueue.x-k8s.io"


def moved(documents, namespace):
    """The same objects in another namespace: dry run needs one that is there."""
    for document in documents:
        metadata = document["metadata"]
        if document["kind"] != "Namespace" and not document["kind"].startswith(("Cluster", "ResourceFlavor")):
            metadata["namespace"] = namespace
        yield document


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(MANIFESTS.parent)))
def test_the_api_server_accepts_what_a_folder_renders_to(folder, cluster, shared_namespace):
    documents = list(yaml.safe_load_all(kubectl("kustomize", str(folder))))
    if any(document["apiVersion"].startswith(KUEUE) for document in documents) and KUEUE not in kubectl("api-versions"):
        pytest.skip("Kueue is not installed in this cluster")
    given = yaml.safe_dump_all(moved(documents, shared_namespace))
    told = kubectl("apply", "--server-side", "--dry-run=server", "--field-manager=globe-test", "-f", "-", given=given)
    assert len(told.splitlines()) == len(documents)


def test_the_api_server_refuses_a_misspelt_field(cluster, shared_namespace):
    """Else the test above would prove nothing."""
    documents = list(yaml.safe_load_all(kubectl("kustomize", str(MANIFESTS / "serving/overlays/standalone"))))
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readynessProbe"] = container.pop("readinessProbe")
    with pytest.raises(RuntimeError, match="readynessProbe"):
        kubectl(
            "apply",
            "--server-side",
            "--dry-run=server",
            "--field-manager=globe-test",
            "-f",
            "-",
            given=yaml.safe_dump_all(moved([deployment], shared_namespace)),
        )
