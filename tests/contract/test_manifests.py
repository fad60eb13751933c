"""manifests/: every folder renders, is valid to the last field, asks for no more than it needs, and is what the code makes."""

import copy
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from components.images import image
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.arguments import SAFE_ENVIRONMENT, vllm_arguments
from globe.serving.manifest import PORT, base, server_manifests
from globe.serving.recipe import ServingRecipe
from pipelines.catalog import PIPELINES
from pipelines.compile import compiled_text
from pipelines.profile import PROFILES, load_profile

MANIFESTS = Path(__file__).parents[2] / "manifests"
FOLDERS = sorted(path.parent for path in MANIFESTS.rglob("kustomization.yaml"))
STANDALONE = MANIFESTS / "serving" / "overlays" / "standalone"
OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version()
KUEUE = "kueue.x-k8s.io/v1beta2"
CRDS_VARIABLE = "KUEUE_CRDS"

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which renders kustomizations")


@cache
def text_of(folder):
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # such as a warning about a deprecated field
    return done.stdout


def render(folder):
    return list(yaml.safe_load_all(text_of(folder)))


def everything():
    return [document for folder in FOLDERS for document in render(folder)]


def of_kind(folder, kind):
    return [document for document in render(folder) if document["kind"] == kind]


def each_folder(test):
    return pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(MANIFESTS.parent)))(test)


def pods():
    return [document["spec"]["template"] for document in everything() if document["kind"] == "Deployment"]


def containers():
    return [container for pod in pods() for container in pod["spec"]["containers"]]


# Kueue's kinds, as far as they are used here. The CRDs' own schemas are not in this repository; see the last test of them.


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
    matchLabels: dict[str, str]


class ClusterQueue(Strict):
    namespaceSelector: NamespaceSelector
    resourceGroups: list[ResourceGroup] = Field(min_length=1)


class LocalQueue(Strict):
    clusterQueue: str


QUEUE_KINDS = {"ResourceFlavor": ResourceFlavor, "ClusterQueue": ClusterQueue, "LocalQueue": LocalQueue}


@each_folder
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_folder_renders_to_objects_that_are_valid_to_the_last_field(folder, version):
    documents = render(folder)
    assert documents
    for document in documents:
        if document["apiVersion"] == KUEUE:
            QUEUE_KINDS[document["kind"]].model_validate(document.get("spec", {}))
        elif document["apiVersion"] == "pipelines.kubeflow.org/v2beta1":
            pass  # KFP's own kinds: tests/unit/pipelines/test_resources.py
        else:  # a kind without a schema raises too
            kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_and_a_kind_without_a_schema_do_not_pass():
    deployment = copy.deepcopy(of_kind(STANDALONE, "Deployment")[0])
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readynessProbe"] = container.pop("readinessProbe")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({"apiVersion": KUEUE, "kind": "LocalQueue"}, NEWEST, strict=True)


def test_every_file_is_part_of_a_folder_that_renders():
    for path in MANIFESTS.rglob("*.yaml"):
        if path.name != "kustomization.yaml":
            resources = yaml.safe_load((path.parent / "kustomization.yaml").read_text())["resources"]
            assert path.name in resources, path


def test_kueues_kinds_fit_the_crds_own_schemas():
    folder = os.environ.get(CRDS_VARIABLE)
    if not folder:
        pytest.skip(f"needs {CRDS_VARIABLE}, a folder with Kueue's CRDs (config/components/crd/bases of its repository)")
    schemas = {}
    for path in Path(folder).glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schemas[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(version["schema"]["openAPIV3Schema"])
    for document in render(MANIFESTS / "queue"):
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


def test_queues_name_flavors_and_queues_that_exist():
    documents = {(document["kind"], document["metadata"]["name"]): document for document in render(MANIFESTS / "queue")}
    for (kind, _), document in documents.items():
        if kind == "LocalQueue":
            assert ("ClusterQueue", document["spec"]["clusterQueue"]) in documents
        for group in document.get("spec", {}).get("resourceGroups", []):
            for flavor in group["flavors"]:
                assert ("ResourceFlavor", flavor["name"]) in documents
                assert [quota["name"] for quota in flavor["resources"]] == group["coveredResources"]


# What may be done, and by whom


def rules():
    return [rule for document in everything() if document["kind"] in ("Role", "ClusterRole") for rule in document["rules"]]


def test_no_role_grants_everything_of_anything():
    assert rules()
    for rule in rules():
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


def test_no_role_reaches_secrets_pods_from_within_or_its_own_rights():
    resources = {resource for rule in rules() for resource in rule["resources"]}
    assert not resources & {"secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
    assert not {group for rule in rules() for group in rule["apiGroups"]} & {"rbac.authorization.k8s.io"}
    assert not {verb for rule in rules() for verb in rule["verbs"]} & {"escalate", "bind", "impersonate", "deletecollection"}


def test_beyond_the_namespace_only_nodes_may_be_listed():
    (role,) = of_kind(MANIFESTS / "rbac", "ClusterRole")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]


def test_the_pipeline_account_cannot_change_anything_but_its_own_results():
    (role,) = [role for role in of_kind(MANIFESTS / "rbac", "Role") if role["metadata"]["name"] == "globe-pipeline"]
    changing = {
        resource for rule in role["rules"] if set(rule["verbs"]) - {"get", "list", "watch"} for resource in rule["resources"]
    }
    assert changing == {"workflowtaskresults"}


def test_bindings_name_roles_and_accounts_that_exist():
    documents = render(MANIFESTS / "rbac")
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    bindings = [document for document in documents if document["kind"].endswith("Binding")]
    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in names
        for subject in binding["subjects"]:
            assert (subject["kind"], subject["name"]) in names
            assert subject["namespace"] == "globe"


# How pods are confined


def test_servers_meet_the_restricted_level_which_the_namespace_demands():
    (namespace,) = of_kind(MANIFESTS, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (1001, 0)
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= {"emptyDir", "persistentVolumeClaim", "configMap", "secret"}
    for container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container["ports"])


def test_servers_have_no_token_and_cannot_write_to_the_claim():
    for pod in pods():
        assert pod["spec"]["automountServiceAccountToken"] is False
        claims = [volume["name"] for volume in pod["spec"]["volumes"] if "persistentVolumeClaim" in volume]
        mounts = [mount for container in pod["spec"]["containers"] for mount in container["volumeMounts"]]
        assert claims
        assert all(mount.get("readOnly") for mount in mounts if mount["name"] in claims)


def test_servers_have_memory_for_dev_shm_and_a_writable_tmp():
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
        assert "emptyDir" in mounts["/tmp"]


def test_a_big_model_has_half_an_hour_to_start_and_every_server_has_all_three_probes():
    for container in containers():
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"] == "/health"
            assert container[probe]["httpGet"]["port"] in ports
            assert container[probe]["timeoutSeconds"] >= 5
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800


def test_a_server_has_time_to_answer_what_it_was_asked_before_it_is_killed():
    for pod in pods():
        container = pod["spec"]["containers"][0]
        drain_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        shutdown_s = int(container["args"][container["args"].index("--shutdown-timeout") + 1])
        assert pod["spec"]["terminationGracePeriodSeconds"] > drain_s + shutdown_s + 15


@each_folder
def test_selectors_find_the_pods_they_are_meant_for(folder):
    deployments, services = of_kind(folder, "Deployment"), of_kind(folder, "Service")
    for deployment in deployments:
        assert (
            deployment["spec"]["selector"]["matchLabels"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        )
    for service in services:
        chosen = [
            deployment["spec"]["template"]
            for deployment in deployments
            if service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(chosen) == 1
        ports = {port["name"] for port in chosen[0]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_secrets_are_templates_without_values():
    secrets = [document for document in everything() if document["kind"] == "Secret"]
    assert secrets
    assert all(not secret.keys() & {"data", "stringData"} for secret in secrets)


def test_images_are_those_of_the_pins():
    images = {container["image"] for container in containers()}
    assert images == {image("serve")}
    assert not any(re.search(r":latest$|^[^:@]+$", reference) for reference in images)


# Drift between files and code


RECIPE = load_recipe(ServingRecipe, "serving", "gpu")


def test_the_bases_arguments_and_environment_are_those_of_the_code():
    container = base()[0]["spec"]["template"]["spec"]["containers"][0]
    model, name = container["args"][0], container["args"][2]
    assert container["args"] == vllm_arguments(Path(model), name, "0.0.0.0", PORT, RECIPE)
    assert {entry["name"]: entry["value"] for entry in container["env"]} == SAFE_ENVIRONMENT
    assert container["command"] == ["vllm", "serve"]


def test_a_runs_server_differs_from_the_base_only_in_what_is_the_runs():
    model = Checkpoint("/mnt/globe/store/checkpoint", "", "", "", "", 0)
    expected_deployment, expected_service = base()
    resources = expected_deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
    (shm,) = [v for v in expected_deployment["spec"]["template"]["spec"]["volumes"] if v["name"] == "shm"]
    cluster = Cluster(  # a cluster's sizes are the profile's
        server_image="globe-serve",
        server_cpu=resources["requests"]["cpu"],
        server_memory=resources["requests"]["memory"],
        server_shm=shm["emptyDir"]["sizeLimit"],
    )
    deployment, service = server_manifests("globe", model, RECIPE, Place("by-hand", gpus=1, cluster=cluster))
    for made, expected in ((deployment, expected_deployment), (service, expected_service)):
        made["metadata"]["name"] = expected["metadata"]["name"]
        assert made["spec"].pop("progressDeadlineSeconds", 0) >= expected["spec"].pop("progressDeadlineSeconds", 0)
        assert made == expected


def edited(tmp_path, **data):
    """What the standalone overlay renders to after somebody has edited its settings."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    folder = tmp_path / "manifests" / STANDALONE.relative_to(MANIFESTS)
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    assert data.keys() == settings["data"].keys()
    settings["data"] = data
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    documents = {document["kind"]: document for document in render(folder)}
    assert documents.keys() == {"Deployment", "Service"}
    return documents["Deployment"], documents["Service"]


def test_everything_about_a_server_by_hand_is_edited_in_one_file(tmp_path):
    deployment, service = edited(tmp_path, checkpoint="/mnt/globe/mine", model="mine", replicas="3", gpus="2")
    for document in (deployment, service):
        kubernetes_validate.validate(document, NEWEST, strict=True)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    recipe = RECIPE.model_copy(update={"tensor_parallel_size": 2})
    assert sorted(container["args"]) == sorted(vllm_arguments(Path("/mnt/globe/mine"), "mine", "0.0.0.0", PORT, recipe))
    where = container["args"].index("--tensor-parallel-size")
    assert container["args"][where + 1] == "2"
    assert container["args"][:3] == ["/mnt/globe/mine", "--served-model-name", "mine"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert deployment["spec"]["replicas"] == 3
    assert service["spec"]["selector"]["globe.dev/model"] == "mine"
    assert deployment["spec"]["template"]["metadata"]["labels"]["globe.dev/model"] == "mine"


def clusters():
    profiles = [load_profile(path.stem).cluster for path in PROFILES.glob("*.yaml")]
    return [Cluster(), *(cluster for cluster in profiles if cluster)]


@pytest.mark.parametrize("cluster", clusters())
def test_what_profiles_name_is_what_the_manifests_make(cluster):
    made = {(document["kind"], document["metadata"]["name"]) for document in everything()}
    assert ("Namespace", cluster.namespace) in made
    assert ("ServiceAccount", cluster.service_account) in made
    assert not cluster.claim or ("PersistentVolumeClaim", cluster.claim) in made
    assert not cluster.queue or ("LocalQueue", cluster.queue) in made
    template = (MANIFESTS / "storage" / "secrets" / "secrets.yaml").read_text()
    for secret in cluster.secrets:
        assert ("Secret", secret.name) in made
        assert all(key in template for key in secret.keys)


def told_to_stages(profile, pipeline="training"):
    """The cluster settings of each task that has some, by task, in a pipeline compiled for a profile."""
    spec = next(yaml.safe_load_all(compiled_text(PIPELINES[pipeline], load_profile(str(profile)).cluster)))
    tasks = [
        task
        for component in [spec["root"], *spec["components"].values()]
        for task in component.get("dag", {}).get("tasks", {}).items()
    ]
    given = {name: task.get("inputs", {}).get("parameters", {}).get("cluster", {}) for name, task in tasks}
    return {name: value["runtimeValue"]["constant"] for name, value in given.items() if "runtimeValue" in value}


def test_what_a_profile_tells_its_stages_is_all_of_its_cluster_and_the_pinned_images():
    told = told_to_stages("8x80gb")
    assert {"validate", "serving", "reward-service", "stop-reward-service", "teardown"} == set(told)
    images = {"server_image": image("serve"), "fetch_image": image("evaluate")}
    for settings in told.values():
        assert read_cluster(settings) == load_profile("8x80gb").cluster.model_copy(update=images)


CUSTOM = """
title: secrets of another name
cluster:
  claim: null
  secrets:
    - {name: our-keys, keys: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]}
    - {name: our-bucket, keys: [AWS_REGION]}
    - {name: our-teachers, keys: [GLOBE_TEACHER_API_KEY]}
"""


def test_secrets_of_another_name_reach_what_fetches_a_servers_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    (tmp_path / "mine.yaml").write_text(CUSTOM)
    model = Checkpoint("/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint", "", "", "", "", 0)
    place = Place("run-1", 1, cluster=read_cluster(told_to_stages(tmp_path / "mine.yaml")["serving"]))
    deployment, _ = server_manifests("grpo", model, RECIPE, place)
    kubernetes_validate.validate(deployment, NEWEST, strict=True)
    (fetcher,) = deployment["spec"]["template"]["spec"]["initContainers"]
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in fetcher["env"] if "valueFrom" in entry}
    secrets = {"AWS_ACCESS_KEY_ID": "our-keys", "AWS_SECRET_ACCESS_KEY": "our-keys", "AWS_REGION": "our-bucket"}
    assert keys == {key: {"name": secret, "key": key, "optional": True} for key, secret in secrets.items()}
    assert "globe-s3" not in yaml.safe_dump(deployment)
