"""What runs have left is removed from a real cluster, by the account of manifests/cleanup and with its rights alone."""

from pathlib import Path

import pytest
import yaml
from cleanup_job import know_workflows
from cluster_tools import kubectl, wait_until
from pods import kubeconfig_of

from globe.errors import GlobeError
from globe.serving.cleanup import clean_orphans, clean_run
from globe.serving.kube import connect
from globe.serving.manifest import HOME_LABEL, PART_OF, base, run_labels

pytestmark = pytest.mark.cluster
CLEANUP = Path(__file__).parents[2] / "manifests" / "cleanup"


@pytest.fixture
def argo(cluster):
    """A cluster that knows Workflows."""
    ours = "workflows.argoproj.io" not in kubectl("get", "crd", "-o", "name")
    if ours:
        know_workflows()
    yield
    if ours:
        kubectl("delete", "crd", "workflows.argoproj.io")


@pytest.fixture
def as_the_job(cluster, core, namespace, tmp_path, monkeypatch):
    """A function that makes this process act as the job's account; what tests do with kubectl before that, they do as admin."""
    documents = list(yaml.safe_load_all(kubectl("kustomize", str(CLEANUP))))
    for document in documents:
        document["metadata"]["namespace"] = namespace
        for subject in document.get("subjects", []):
            subject["namespace"] = namespace
    account = [document for document in documents if document["kind"] != "CronJob"]
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(account))

    def act():
        token = core.create_namespaced_service_account_token("globe-cleanup", namespace, {"spec": {"audiences": None}})
        file = tmp_path / "kubeconfig"
        file.write_text(kubeconfig_of(token.status.token, cluster.configuration.host))
        monkeypatch.setenv("KUBECONFIG", str(file))
        return connect(namespace)

    return act


def serve(namespace, run, home=""):
    """Make the Deployment and the Service of a run's server, whose pod never comes up, for there is no such image."""
    for manifest in base():
        manifest["metadata"]["name"] = f"globe-{run}"
        manifest["metadata"]["labels"] |= PART_OF | run_labels(run, "grpo") | ({HOME_LABEL: home} if home else {})
        if manifest["kind"] == "Deployment":
            labels = run_labels(run, "grpo")
            manifest["spec"]["selector"] = {"matchLabels": labels}
            manifest["spec"]["template"]["metadata"]["labels"] = labels
            pod = manifest["spec"]["template"]["spec"]
            container = {"name": "vllm", "image": "localhost/no-such-image:none", "imagePullPolicy": "Never"}
            pod |= {"containers": [container], "volumes": [], "terminationGracePeriodSeconds": 0}
        kubectl("-n", namespace, "apply", "-f", "-", given=yaml.safe_dump(manifest))
    chosen = f"globe.dev/run={run}"
    wait_until(lambda: kubectl("-n", namespace, "get", "pods", "-l", chosen, "-o", "name"), f"{run} got no pod")


def workflow(namespace, run, phase):
    """Make the Workflow of a run as KFP's API server and Argo's controller do."""
    metadata = {"name": f"w-{run}", "namespace": namespace, "labels": {"pipeline/runid": run}}
    made = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "status": {"phase": phase}}
    kubectl("apply", "-f", "-", given=yaml.safe_dump(made))


def left(namespace):
    """The runs that still have something, by kind; pods too."""
    found = {}
    for kind in ("deployments", "services", "replicasets", "pods"):
        runs = "jsonpath={.items[*].metadata.labels.globe\\.dev/run}"
        found[kind] = sorted(kubectl("-n", namespace, "get", kind, "-o", runs).split())
    return found


def all_of(*runs):
    return dict.fromkeys(("deployments", "services", "replicasets", "pods"), sorted(runs))


def test_servers_of_runs_that_are_over_go_to_the_last_pod_and_others_stay(argo, namespace, as_the_job, monkeypatch):
    for run, phase in {"going": "Running", "done": "Succeeded", "failed": "Failed", "deleted": ""}.items():
        serve(namespace, run, namespace)
        if phase:
            workflow(namespace, run, phase)
    serve(namespace, "by-hand")
    assert left(namespace) == all_of("by-hand", "deleted", "done", "failed", "going")
    kube = as_the_job()
    gone = clean_orphans(kube)
    assert sorted((one.kind, one.run) for one in gone) == [
        (kind, run) for kind in ("Deployment", "Service") for run in ("deleted", "done", "failed")
    ]
    assert clean_orphans(kube) == []
    assert [one.kind for one in clean_run(kube, "going")] == ["Deployment", "Service"]
    with pytest.raises(GlobeError, match="cannot"):
        kube.apply(base()[1])
    monkeypatch.undo()  # to look as the admin
    assert left(namespace) == all_of("by-hand")


def test_a_run_elsewhere_is_over_for_nobody_who_may_not_look_there(argo, namespace, as_the_job, monkeypatch):
    serve(namespace, "elsewhere", "kube-system")
    kube = as_the_job()
    with pytest.raises(GlobeError, match=r'cannot list resource "workflows".*manifests/cleanup'):
        clean_orphans(kube)
    assert [one.run for one in clean_run(kube, "elsewhere", dry_run=True)] == ["elsewhere", "elsewhere"]
    monkeypatch.undo()
    assert left(namespace) == all_of("elsewhere")
