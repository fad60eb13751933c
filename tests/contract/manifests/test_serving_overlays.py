"""Overlays of manifests/serving after somebody has edited their settings, and what brings a checkpoint into a pod."""

import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from image_files import script
from rendered import BY_HAND, SERVING, edited_serving, named, of_kind, pod_of, render

from components.images import image
from globe.models.checkpoints import MANIFEST_FILE
from globe.recipes.load import load_recipe
from globe.serving.arguments import vllm_arguments
from globe.serving.manifest import PORT
from globe.serving.recipe import ServingRecipe
from globe.storage import S3_VARIABLES

NEWEST = kubernetes_validate.latest_version()
OVERLAYS = sorted(path.parent for path in SERVING.glob("overlays/*/kustomization.yaml"))
EXAMPLES = sorted(path.parent for path in SERVING.glob("examples/*/kustomization.yaml"))
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
VALUES = {
    "namespace": "mine",
    "checkpoint": "/mnt/globe/mine",
    "model": "our/model",
    "name": "a-name",
    "replicas": "3",
    "surge": "0",
    "unavailable": "2",
    "gpus": "2",
    "cpu": "7",
    "memory": "70Gi",
    "image": "registry.example.org/serve@sha256:" + "3b" * 32,
    "fetchImage": "registry.example.org/evaluate:1",
    "weights": "9Gi",
}


def settings_of(folder):
    return yaml.safe_load((folder / "settings.yaml").read_text())["data"]


def edited(overlay, folder, **values):
    """Objects by kind and name, once the settings that the overlay has are these; and the pod that serves."""
    values = {key: value for key, value in (VALUES | values).items() if key in settings_of(overlay)}
    documents = edited_serving(overlay, folder, **values)
    (pod,) = [pod for document in documents if (pod := pod_of(document))]
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}, pod


@each_overlay
def test_everything_is_edited_in_one_file(overlay, tmp_path):
    assert settings_of(overlay).keys() <= VALUES.keys()
    documents, pod = edited(overlay, tmp_path)
    engine = named(pod["spec"]["containers"], "vllm", "kserve-container")
    gateway = named(pod["spec"]["containers"], "gateway", "transformer-container")
    for (kind, name), document in documents.items():
        assert document["metadata"]["namespace"] == "mine", kind
        assert name.removesuffix("-peers").removesuffix("-fetch") == "a-name", kind
        if document["apiVersion"] != "serving.kserve.io/v1beta1":
            kubernetes_validate.validate(document, NEWEST, strict=True)
    assert "globe.dev/model: globe\n" not in yaml.safe_dump_all(documents.values())
    assert [engine["args"][2], {e["name"]: e.get("value") for e in gateway["env"]}["GLOBE_GATEWAY_MODEL"]] == ["our/model"] * 2
    assert {one["image"] for one in [engine, gateway, named(pod["spec"]["initContainers"], "key")]} == {VALUES["image"]}
    assert engine["resources"]["requests"] == {"cpu": "7", "memory": "70Gi"}
    assert engine["resources"]["limits"]["memory"] == "70Gi"
    assert pod["spec"]["serviceAccountName"] == "a-name"
    if ("Deployment", "a-name") in documents:
        spec = documents["Deployment", "a-name"]["spec"]
        assert (spec["replicas"], spec["strategy"]["rollingUpdate"]) == (3, {"maxSurge": 0, "maxUnavailable": 2})


@each_overlay
def test_several_gpus_are_asked_for_and_used(overlay, tmp_path):
    if "gpus" not in settings_of(overlay):
        pytest.skip("has no such setting")
    _, pod = edited(overlay, tmp_path)
    engine = named(pod["spec"]["containers"], "vllm")
    recipe = load_recipe(ServingRecipe, "serving", "gpu").model_copy(update={"tensor_parallel_size": 2})
    assert sorted(engine["args"]) == sorted(vllm_arguments(engine["args"][0], "our/model", "127.0.0.1", PORT, recipe))
    assert engine["args"][engine["args"].index("--tensor-parallel-size") + 1] == "2"
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == "2"


@each_overlay
def test_the_checkpoint_that_is_served_is_the_one_that_was_checked_or_fetched(overlay, tmp_path):
    _, pod = edited(overlay, tmp_path, checkpoint="/here/it/is")
    engine, gateway = pod["spec"]["containers"][:2]
    told = {entry["name"]: entry.get("value") for entry in [*engine["env"], *gateway["env"]]}
    served = named([engine, gateway], "vllm", "kserve-container")["args"][0]
    assert told["GLOBE_GATEWAY_CHECKPOINT"] == served
    first = {container["name"]: container for container in pod["spec"]["initContainers"]}
    if "checkpoint" in first:
        assert first["checkpoint"]["command"] == ["python3", "-m", "globe.models", served]
        assert served == "/here/it/is"
    elif "weights" in first:
        assert first["weights"]["command"][-1] == "/here/it/is"
        assert first["weights"]["image"] == VALUES["fetchImage"]
    elif "STORAGE_URI" in told:
        assert (told["STORAGE_URI"], served) == ("/here/it/is", "/mnt/models")
    else:
        (volume,) = [volume for volume in pod["spec"]["volumes"] if "image" in volume]
        mounts = [
            mount for container in (engine, gateway) for mount in container["volumeMounts"] if mount["name"] == volume["name"]
        ]
        assert volume["image"] == {"reference": "/here/it/is", "pullPolicy": "IfNotPresent"}
        assert mounts == [{"name": volume["name"], "mountPath": served, "subPath": "models", "readOnly": True}] * 2


def test_what_fetches_has_every_variable_of_s3_and_nothing_else_has_one():
    (pod,) = [pod for document in render(SERVING / "overlays" / "standalone-s3") if (pod := pod_of(document))]
    fetcher = named(pod["spec"]["initContainers"], "weights")
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in fetcher["env"] if "valueFrom" in entry}
    assert keys == {name: {"name": "globe-s3", "key": name, "optional": True} for name in S3_VARIABLES}
    others = [*pod["spec"]["containers"], *(one for one in pod["spec"]["initContainers"] if one is not fetcher)]
    assert not [entry for one in others for entry in one["env"] if entry["name"].startswith("AWS_")]


def fetch(place, tmp_path):
    """Run what the pod runs, on this machine's folders."""
    (pod,) = [pod for document in render(SERVING / "overlays" / "standalone-s3") if (pod := pod_of(document))]
    command = named(pod["spec"]["initContainers"], "weights")["command"]
    command = [part.replace("/weights/", f"{tmp_path}/") for part in command[:-1]] + [str(place)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "GLOBE_SCRATCH": f"{tmp_path}/mirror"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_what_was_fetched_lies_where_the_server_looks(model, tmp_path):
    done = fetch(model, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "checkpoint").resolve() == model


@pytest.mark.parametrize("fault", ["nothing there", "the folder above", "a damaged manifest"])
def test_a_checkpoint_that_cannot_be_served_ends_the_new_pod_with_one_line(model, tmp_path, fault):
    (model / MANIFEST_FILE).write_text("{")
    done = fetch({"nothing there": tmp_path / "missing", "the folder above": tmp_path}.get(fault, model), tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "checkpoint").exists()


# Images


@pytest.mark.parametrize("folder", [*OVERLAYS, *EXAMPLES], ids=lambda path: path.name)
def test_settings_name_the_pinned_images_and_ci_the_one_that_is_built_here(folder):
    data = settings_of(folder)
    assert data["image"] == ("localhost/globe-serve:cpu" if folder.name == "ci" else image("serve"))
    assert data.get("fetchImage", image("evaluate")) == image("evaluate")


def test_settings_follow_the_pins(tmp_path):
    pin = script("pin")
    digest = "@sha256:" + "3b" * 32
    (tmp_path / "pins.yaml").write_text("serve: globe-serve:0.1.0\nevaluate: globe-evaluate:0.1.0\n")
    folder = tmp_path / "manifests" / "overlay"
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text((SERVING / "overlays" / "standalone-s3" / "settings.yaml").read_text())
    pin.pin([f"serve=ghcr.io/owner/globe-serve:0.1.0{digest}"], tmp_path / "pins.yaml", tmp_path / "manifests")
    data = settings_of(folder)
    assert data["image"] == f"ghcr.io/owner/globe-serve:0.1.0{digest}"
    assert data["fetchImage"] == "globe-evaluate:0.1.0"


# The examples


@pytest.mark.parametrize(
    ("name", "overlay"), [("02-globe-qwen2.5-vl-7b", "standalone"), ("03-globe-internvl3-8b", "standalone-s3")]
)
def test_a_published_checkpoint_is_one_value(name, overlay):
    theirs, ours = settings_of(SERVING / "overlays" / overlay), settings_of(SERVING / "examples" / name)
    assert {key for key in theirs if theirs[key] != ours[key]} == {"checkpoint"}
    assert theirs.keys() == ours.keys()
    published = re.findall(
        r"(?:/mnt/globe|s3://BUCKET)(/models/GLOBE-\S+)", (SERVING / "overlays" / overlay / "settings.yaml").read_text()
    )
    assert [path for path in published if ours["checkpoint"].endswith(path)]


def test_a_canary_is_the_same_model_for_clients_and_has_no_object_of_the_stable_ones():
    stable, canary = (SERVING / "examples" / name for name in ("04-outside", "05-canary"))
    names = [{(one["kind"], one["metadata"]["name"]) for one in render(folder)} for folder in (stable, canary)]
    assert not names[0] & names[1]
    assert settings_of(stable)["model"] == settings_of(canary)["model"]
    (route,) = of_kind(stable, "HTTPRoute")
    backends = route["spec"]["rules"][0]["backendRefs"]
    assert [(one["name"], one["weight"]) for one in backends] == [("globe", 100), ("globe", 0)]
    services = {one["metadata"]["name"] for folder in (stable, canary) for one in of_kind(folder, "Service")}
    assert {"globe", "globe-canary"} <= services


def test_what_an_autoscaler_decides_is_left_to_it():
    folder = SERVING / "examples" / "04-outside"
    (deployment,), (scaled,) = of_kind(folder, "Deployment"), of_kind(folder, "ScaledObject")
    assert "replicas" not in deployment["spec"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    data = settings_of(folder)
    assert [scaled["spec"][key] for key in ("minReplicaCount", "maxReplicaCount")] == [
        int(data["replicas"]),
        int(data["replicasMax"]),
    ]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert query.count(f'namespace="{data["namespace"]}",globe_dev_model="{data["name"]}"') == 2


def test_taking_one_server_away_takes_nothing_of_anothers():
    assert {document["kind"] for document in render(BY_HAND)} == {
        *("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"),
    }
