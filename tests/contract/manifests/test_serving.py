"""Servers: how their pods are confined, how they start and end, and that files and code make the same of them."""

import re
from pathlib import Path

import kubernetes_validate
import yaml
from image_files import script
from rendered import each_folder, everything, named, pod_of, render

from components.images import image
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.arguments import SAFE_ENVIRONMENT, vllm_arguments
from globe.serving.manifest import PORT, base, server_manifests
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import guarded
from pipelines.backends import NEWEST as NEWEST_BACKEND
from pipelines.catalog import PIPELINES
from pipelines.compile import compiled_text
from pipelines.profile import load_profile

NEWEST = kubernetes_validate.latest_version()


def pods():
    return [pod for document in everything() if (pod := pod_of(document))]


def containers():
    return [container for pod in pods() for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]]


def engines():
    serving = [pod for pod in pods() if pod["metadata"]["labels"].get("app.kubernetes.io/name") != "globe-witness"]
    return [(pod, named(pod["spec"]["containers"], "vllm", "kserve-container")) for pod in serving]


def test_servers_meet_the_strictest_level_that_a_namespace_may_demand():
    for pod in pods():
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (1001, 0)
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= {"emptyDir", "persistentVolumeClaim", "configMap", "secret", "image"}
    for container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_servers_have_no_token_and_cannot_write_to_what_others_read():
    for pod in pods():
        assert pod["spec"]["automountServiceAccountToken"] is False
        kept = [volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" not in volume]
        every = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        mounts = [mount for container in every for mount in container["volumeMounts"]]
        assert all(mount.get("readOnly") for mount in mounts if mount["name"] in kept)
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_servers_have_memory_for_dev_shm_and_a_writable_tmp():
    for pod, engine in engines():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in engine["volumeMounts"]}
        assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
        assert "emptyDir" in mounts["/tmp"]


def test_every_emptied_volume_of_every_pod_has_a_limit():
    volumes = [volume for document in everything() for volume in volumes_in(document)]
    emptied = [volume for volume in volumes if "emptyDir" in volume]
    assert emptied
    assert all("sizeLimit" in volume["emptyDir"] for volume in emptied)


def volumes_in(value):
    """All volumes anywhere in an object."""
    if isinstance(value, list):
        return [found for one in value for found in volumes_in(one)]
    if not isinstance(value, dict):
        return []
    own = value["volumes"] if isinstance(value.get("volumes"), list) else []
    return [*own, *(found for one in value.values() for found in volumes_in(one))]


def test_a_big_model_has_half_an_hour_to_start_and_no_probe_takes_a_busy_server_for_a_dead_one():
    for _, engine in engines():
        startup = engine["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 1800
    for container in containers():
        for probe in (container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in container):
            assert probe["timeoutSeconds"] >= 5


def test_a_server_alone_is_asked_for_its_health_on_its_own_port():
    (container,) = base()[0]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": container["ports"][0]["name"]}


def test_a_server_alone_has_time_to_answer_what_it_was_asked_before_it_is_killed():
    pod = base()[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    drain_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    shutdown_s = int(container["args"][container["args"].index("--shutdown-timeout") + 1])
    assert pod["terminationGracePeriodSeconds"] > drain_s + shutdown_s + 15


@each_folder
def test_selectors_find_the_pods_they_are_meant_for(folder):
    documents = render(folder)
    found = [pod for document in documents if (pod := pod_of(document))]
    for document in documents:
        if document["kind"] == "Deployment":
            chosen = document["spec"]["selector"]["matchLabels"]
            assert chosen.items() <= document["spec"]["template"]["metadata"]["labels"].items()
        if document["kind"] == "Service":
            (pod,) = [one for one in found if document["spec"]["selector"].items() <= one["metadata"]["labels"].items()]
            ports = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
            assert {port["targetPort"] for port in document["spec"]["ports"]} <= ports
        if document["kind"] == "PodDisruptionBudget":
            assert any(document["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items() for pod in found)


def test_images_are_those_of_the_pins_and_for_ci_the_one_that_is_built_here():
    images = {container["image"] for container in containers()}
    assert images == {image("serve"), image("evaluate"), image("train"), "localhost/globe-serve:cpu", "globe-serve"}
    of_engine = {container["image"] for pod, container in engines() if pod in [base()[0]["spec"]["template"]]}
    assert of_engine == {"globe-serve"}  # named by whoever fills it in
    assert script("build").tag("serve", "cpu") == "localhost/globe-serve:cpu"
    assert not any(re.search(r":latest$", reference) for reference in images)


# Drift between files and code


RECIPE = load_recipe(ServingRecipe, "serving", "gpu")


def test_the_bases_arguments_and_environment_are_those_of_the_code():
    container = base()[0]["spec"]["template"]["spec"]["containers"][0]
    model, name = container["args"][0], container["args"][2]
    assert container["args"] == vllm_arguments(Path(model), name, "0.0.0.0", PORT, RECIPE)
    assert {entry["name"]: entry.get("value") for entry in container["env"]} == SAFE_ENVIRONMENT


def test_the_bases_command_is_vllms():
    container = base()[0]["spec"]["template"]["spec"]["containers"][0]
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
    place = Place("by-hand", gpus=1, cluster=cluster, store="/mnt/globe/store")
    deployment, service = server_manifests("globe", model, RECIPE, place, "key")
    pod, expected_pod = (one["spec"]["template"]["spec"] for one in (deployment, expected_deployment))
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "store"]
    assert {mount["mountPath"]: mount["subPath"].rpartition("-")[0] or mount["subPath"] for mount in mounts} == {
        "/mnt/globe/store/checkpoint": "store/checkpoint",
        "/globe-key/server-key": "store/runs/by-hand/server-globe",
    }
    deployment["spec"]["template"]["metadata"].pop("annotations")  # the key's fingerprint
    own = guarded(Path("/globe-key/server-key"), "")
    assert own.items() <= {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}.items()
    for one in (pod, expected_pod):
        container = one["containers"][0]
        container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["name"] != "store"]
        container["env"] = [entry for entry in container["env"] if entry["name"] not in own]
    for made, expected in ((deployment, expected_deployment), (service, expected_service)):
        made["metadata"]["name"] = expected["metadata"]["name"]
        assert made["spec"].pop("progressDeadlineSeconds", 0) >= expected["spec"].pop("progressDeadlineSeconds", 0)
        assert made == expected


def told_to_stages(profile, pipeline="training"):
    """The cluster settings of each task that has some, by task, in a pipeline compiled for a profile."""
    spec = next(yaml.safe_load_all(compiled_text(PIPELINES[pipeline], load_profile(str(profile)).cluster, NEWEST_BACKEND)))
    tasks = [
        task
        for component in [spec["root"], *spec["components"].values()]
        for task in component.get("dag", {}).get("tasks", {}).items()
    ]
    given = {name: task.get("inputs", {}).get("parameters", {}).get("cluster", {}) for name, task in tasks}
    return {name: value["runtimeValue"]["constant"] for name, value in given.items() if "runtimeValue" in value}


def test_what_a_profile_tells_its_stages_is_all_of_its_cluster_and_the_pinned_images():
    told = told_to_stages("8x80gb")
    assert {"validate", "sft", "grpo", "serving", "reward-service", "stop-reward-service", "gate", "promote", "teardown"} == set(
        told
    )
    images = {"server_image": image("serve"), "fetch_image": image("evaluate"), "train_image": image("train")}
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
    cluster = read_cluster(told_to_stages(tmp_path / "mine.yaml")["serving"])
    deployment, _ = server_manifests("grpo", model, RECIPE, Place("run-1", 1, cluster=cluster, store="s3://bucket"), "key")
    kubernetes_validate.validate(deployment, NEWEST, strict=True)
    secrets = {"AWS_ACCESS_KEY_ID": "our-keys", "AWS_SECRET_ACCESS_KEY": "our-keys", "AWS_REGION": "our-bucket"}
    for fetcher in deployment["spec"]["template"]["spec"]["initContainers"]:
        keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in fetcher["env"] if "valueFrom" in entry}
        assert keys == {key: {"name": secret, "key": key, "optional": True} for key, secret in secrets.items()}
    assert "globe-s3" not in yaml.safe_dump(deployment)
