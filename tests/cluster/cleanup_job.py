"""The job of manifests/cleanup, once."""

import json

import yaml
from cluster_tools import kubectl, wait_until
from kubernetes import client
from pods import connect
from runs import MANIFESTS, Site, rights

WORKFLOWS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "workflows.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "names": {"kind": "Workflow", "listKind": "WorkflowList", "plural": "workflows", "singular": "workflow"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""Argo's, without its schema: what tells which runs there are."""
NAME = "globe-cleanup"


def know_workflows() -> None:
    """Make the cluster know Workflows."""
    kubectl("apply", "-f", "-", given=json.dumps(WORKFLOWS))
    kubectl("wait", "--for=condition=Established", "crd/workflows.argoproj.io", "--timeout=60s")


def clean_up(place: Site) -> str:
    """Run the job in a place whose runs are over; returns what it says."""
    know_workflows()
    kubeconfig = rights(client.CoreV1Api(place.api), place.namespace, "cleanup", NAME)
    manifests = yaml.safe_load_all(kubectl("kustomize", str(MANIFESTS / "cleanup")))
    (job,) = [one["spec"]["jobTemplate"] for one in manifests if one["kind"] == "CronJob"]
    connect(job["spec"]["template"]["spec"], kubeconfig, place.tolerations)
    job |= {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": NAME, "namespace": place.namespace}}
    kubectl("apply", "-f", "-", given=json.dumps(job))
    on = ("-n", place.namespace)
    wait_until(lambda: kubectl(*on, "get", "job", NAME, "-o", "jsonpath={.status.conditions}"), "the job does not end")
    said = kubectl(*on, "logs", f"job/{NAME}")
    assert kubectl(*on, "get", "job", NAME, "-o", "jsonpath={.status.succeeded}") == "1", said
    return said
