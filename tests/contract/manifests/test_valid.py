"""Every folder renders, and what it renders to is valid to the last field."""

import copy
import os
from pathlib import Path
from typing import Any, Literal

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from rendered import BY_HAND, MANIFESTS, SERVING, each_folder, kustomization, of_kind, pod_of, render

OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version()
SINCE = dict.fromkeys(("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"), "1.30")
"""Kinds that the oldest version does not have; a folder of its own, which nothing else needs, holds them."""
IMAGE_VOLUMES = "1.31"
"""The first version that knows volumes of images."""
KUEUE = "kueue.x-k8s.io/v1beta2"
KFP = "pipelines.kubeflow.org/v2beta1"
"""KFP's own kinds, if there are any, are made by `pipelines compile` and tested with it."""
CRDS_VARIABLE = "GLOBE_TEST_CRDS"


# Kinds of others, as far as they are used here. The CRDs' own schemas are not in this repository; see the last test of Kueue's.


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Toleration(Strict):
    key: str
    operator: Literal["Exists"]
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"]


class ResourceFlavor(Strict):
    nodeLabels: dict[str, str] = {}
    tolerations: list[Toleration] = []


class Quota(Strict):
    name: str
    nominalQuota: str = Field(pattern=r"^\d+(m|[KMGTP]i?)?$")


class FlavorQuotas(Strict):
    name: str
    resources: list[Quota] = Field(min_length=1)


class ResourceGroup(Strict):
    coveredResources: list[str] = Field(min_length=1)
    flavors: list[FlavorQuotas] = Field(min_length=1)


class NamespaceSelector(Strict):
    matchLabels: dict[str, str] = {}


class ClusterQueue(Strict):
    namespaceSelector: NamespaceSelector
    resourceGroups: list[ResourceGroup] = Field(min_length=1)


class LocalQueue(Strict):
    clusterQueue: str


class Selector(Strict):
    matchLabels: dict[str, str] = Field(min_length=1)


class PodDefault(Strict):
    """Kubeflow's. What it adds to a pod is checked as part of one."""

    desc: str
    selector: Selector
    env: list[Any] = []
    volumes: list[Any] = []
    volumeMounts: list[Any] = []


class MlPolicy(Strict):
    numNodes: int
    torch: dict[str, Any]


class FailurePolicy(Strict):
    maxRestarts: int


class ReplicatedJob(Strict):
    """Its template is that of a Job, and checked as one."""

    name: str
    template: dict[str, Any]


class JobSetSpec(Strict):
    failurePolicy: FailurePolicy
    replicatedJobs: list[ReplicatedJob]


class JobSetTemplate(Strict):
    spec: JobSetSpec


class TrainingRuntime(Strict):
    """Kubeflow Trainer's, v2.3."""

    mlPolicy: MlPolicy
    template: JobSetTemplate


class Predictor(BaseModel):
    """KServe's. The rest of it is a pod's spec, and checked as one."""

    minReplicas: int
    maxReplicas: int
    timeout: int
    labels: dict[str, str]
    deploymentStrategy: dict[str, Any]


class InferenceService(Strict):
    predictor: Predictor


OTHERS = {
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
}
"""Kinds of which manifests/serving's components have one each, held to their CRDs' schemas by the last test here."""
KINDS = {
    ("serving.kserve.io/v1beta1", "InferenceService"): InferenceService,
    ("trainer.kubeflow.org/v1alpha1", "TrainingRuntime"): TrainingRuntime,
    (KUEUE, "ResourceFlavor"): ResourceFlavor,
    (KUEUE, "ClusterQueue"): ClusterQueue,
    (KUEUE, "LocalQueue"): LocalQueue,
    ("kubeflow.org/v1alpha1", "PodDefault"): PodDefault,
}


@each_folder
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_folder_renders_to_objects_that_are_valid_to_the_last_field(folder, version):
    documents = render(folder)
    assert documents
    for document in documents:
        if kind := KINDS.get((document["apiVersion"], document["kind"])):
            kind.model_validate(document.get("spec", {}))
        elif (
            document["apiVersion"] != KFP and (document["apiVersion"], document["kind"]) not in OTHERS
        ):  # a kind without a schema raises too
            pod = pod_of(document) or {"spec": {}}
            newer = any("image" in volume for volume in pod["spec"].get("volumes", []))
            since = IMAGE_VOLUMES if newer else SINCE.get(document["kind"], OLDEST)
            kubernetes_validate.validate(document, max(version, since, key=lambda text: text.split(".")), strict=True)


def test_a_misspelt_field_and_a_kind_without_a_schema_do_not_pass():
    deployment = copy.deepcopy(of_kind(BY_HAND, "Deployment")[0])
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["startUpProbe"] = container.pop("startupProbe")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({"apiVersion": KUEUE, "kind": "LocalQueue"}, NEWEST, strict=True)


def test_what_kserve_makes_a_deployment_of_is_one_that_is_valid_to_the_last_field():
    (service,) = of_kind(SERVING / "overlays" / "kserve", "InferenceService")
    pod, strategy = pod_of(service), service["spec"]["predictor"]["deploymentStrategy"]
    spec = {"selector": {"matchLabels": pod["metadata"]["labels"]}, "template": pod, "strategy": strategy}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "globe"}, "spec": spec}
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(deployment, version, strict=True)


def test_a_node_of_a_trainjob_is_a_job_that_is_valid_to_the_last_field():
    (runtime,) = of_kind(MANIFESTS / "trainer", "TrainingRuntime")
    for one in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        spec = copy.deepcopy(one["template"]["spec"])
        spec["template"]["spec"]["restartPolicy"] = "Never"  # as JobSet has it
        kubernetes_validate.validate(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": one["name"]}, "spec": spec}, NEWEST, strict=True
        )


def test_what_a_notebook_is_given_fits_a_pod():
    (default,) = of_kind(MANIFESTS / "overlays" / "multi-user" / "notebooks", "PodDefault")
    given = default["spec"]
    container = {"name": "notebook", "image": "any", "env": given["env"], "volumeMounts": given["volumeMounts"]}
    spec = {"containers": [container], "volumes": given["volumes"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notebook"}, "spec": spec}
    kubernetes_validate.validate(pod, NEWEST, strict=True)
    assert {mount["name"] for mount in given["volumeMounts"]} == {volume["name"] for volume in given["volumes"]}


def test_every_file_is_part_of_a_folder_that_renders():
    for path in MANIFESTS.rglob("*.yaml"):
        if path.name != "kustomization.yaml":
            told = kustomization(path.parent)
            patches = [patch.get("path") for patch in told.get("patches", [])]
            assert path.name in [*told.get("resources", []), *told.get("configurations", []), *patches], path


def test_others_kinds_fit_the_crds_own_schemas():
    folder = os.environ.get(CRDS_VARIABLE)
    if not folder:
        pytest.skip(
            f"needs {CRDS_VARIABLE}, a folder with the CRDs of Kueue, KServe, KEDA, the Prometheus operator and Gateway API"
        )
    schemas = {}
    for path in Path(folder).glob("*.yaml"):
        spec = yaml.safe_load(path.read_text().replace("(?i)", ""))["spec"]  # which Go knows and JSON Schema does not
        for version in spec["versions"]:
            schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(version["schema"]["openAPIV3Schema"])
    folders = [MANIFESTS / "queue", MANIFESTS / "queue" / "local", SERVING / "overlays" / "kserve", *SERVING.glob("examples/0*")]
    documents = [document for one in folders for document in render(one)]
    theirs = [document for document in documents if (document["apiVersion"], document["kind"]) in schemas]
    assert {document["kind"] for document in theirs} >= {"LocalQueue", "InferenceService"} | {kind for _, kind in OTHERS}
    for document in theirs:
        jsonschema.validate(document, schemas[document["apiVersion"], document["kind"]])


def closed(schema):
    """A CRD's schema under which an unknown field is an error, and which reads int-or-string as Kubernetes does."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" in schema and schema["properties"].keys() != {"apiVersion", "kind", "metadata", "spec", "status"}:
        schema.setdefault("additionalProperties", False)
    return schema
