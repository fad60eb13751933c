"""The API server itself judges what lies in manifests/, and what the pipelines make of it: nothing is changed (dry run)."""

import pytest
import yaml
from cluster_tools import kubectl
from overlays import MANIFESTS, OVERLAYS, edited, parts

pytestmark = pytest.mark.cluster

BY_HAND = MANIFESTS / "serving" / "overlays" / "standalone"
PARTS = [str(part.relative_to(MANIFESTS / "overlays")) for name in OVERLAYS for part in parts(MANIFESTS / "overlays" / name)]
KUEUE, KUBEFLOW = "kueue.x-k8s.io", "kubeflow.org"
OTHERS = {KUEUE: "Kueue", KUBEFLOW: "Kubeflow's PodDefault"}
FOLDERS = [MANIFESTS / "queue", MANIFESTS / "serving" / "base", BY_HAND]


def accepted(documents, namespace):
    """Have the API server judge objects, as if they belonged to a namespace that is there."""
    groups = {document["apiVersion"].partition("/")[0] for document in documents}
    if missing := [title for group, title in OTHERS.items() if group in groups and group not in kubectl("api-versions")]:
        pytest.skip(f"{missing[0]} is not installed in this cluster")
    given = yaml.safe_dump_all(moved(documents, namespace))
    told = kubectl("apply", "--server-side", "--dry-run=server", "--field-manager=globe-test", "-f", "-", given=given)
    assert len(told.splitlines()) == len(documents)


def moved(documents, namespace):
    """The same objects in another namespace: dry run needs one that is there."""
    for document in documents:
        if not document["kind"].startswith(("Cluster", "ResourceFlavor")):
            document["metadata"]["namespace"] = namespace
        yield document


def rendered(folder):
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(MANIFESTS.parent)))
def test_the_api_server_accepts_what_a_folder_renders_to(folder, cluster, shared_namespace):
    accepted(rendered(folder), shared_namespace)


@pytest.mark.parametrize("part", PARTS)
def test_the_api_server_accepts_each_part_of_an_overlay_once_its_settings_are_made(part, cluster, shared_namespace, tmp_path):
    name, *below = part.split("/")
    overlay = edited(name, tmp_path, namespace=shared_namespace, storageClass="shared")
    accepted(rendered(overlay.joinpath(*below)), shared_namespace)


def test_the_api_server_refuses_a_misspelt_field(cluster, shared_namespace):
    """Else the test above would prove nothing."""
    documents = rendered(BY_HAND)
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
