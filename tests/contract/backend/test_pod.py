"""The pods that the backends' drivers make of tasks; the packages are the committed ones."""

import pytest

from backend.package import Package
from backend.pod import Refused, as_declared, pod_of
from pipelines.backends import BACKENDS
from pipelines.compile import COMPILED

versions = pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
LABELS = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def sft(backend):
    return Package.of(COMPILED / backend.folder / "training.yaml").runs("exec-sft")


def inputs(gpus):
    plan = {"pipelinechannel--validate-sft_gpus": gpus, "pipelinechannel--validate-s3_secret": "globe-s3"}
    return {"gpus": gpus, "nodes": LABELS, "tolerations": TOLERATIONS, **plan}


def limits(pod):
    return pod["spec"]["containers"][0]["resources"]["limits"]


@versions
@pytest.mark.parametrize("gpus", ["0", "1", "8"])
def test_a_count_that_is_a_text_becomes_the_limit(backend, gpus):
    assert limits(pod_of(sft(backend), inputs(gpus), backend))["nvidia.com/gpu"] == gpus


@versions
def test_a_count_that_is_a_number_sets_no_limit_at_all(backend):
    assert "nvidia.com/gpu" not in limits(pod_of(sft(backend), inputs(8), backend))


@versions
def test_node_labels_and_tolerations_are_those_of_the_inputs(backend):
    spec = pod_of(sft(backend), inputs("8"), backend)["spec"]
    assert (spec["nodeSelector"], spec["tolerations"]) == (LABELS, TOLERATIONS)


@versions
def test_labels_that_are_no_texts_stop_the_driver(backend):
    with pytest.raises(Refused, match="must be texts"):
        pod_of(sft(backend), inputs("8") | {"nodes": {"gpus": 8}}, backend)


@versions
def test_an_input_of_another_type_than_declared_stops_the_driver(backend):
    with pytest.raises(Refused, match=r"nodes.* expect STRUCT, got STRING"):
        pod_of(sft(backend), inputs("8") | {"nodes": "none"}, backend)


@versions
def test_a_number_becomes_a_text_where_the_component_declares_one(backend):
    assert as_declared(sft(backend), {"gpus": 8})["gpus"] == "8"


@versions
def test_a_resource_whose_parameter_was_not_given_stops_the_driver(backend):
    with pytest.raises(Refused, match="validate-sft_gpus"):
        pod_of(sft(backend), {name: value for name, value in inputs("8").items() if "gpus" not in name}, backend)


@versions
def test_the_claim_shared_memory_and_scratch_are_mounted(backend):
    spec = pod_of(sft(backend), inputs("8"), backend)["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in spec["volumes"]}
    assert volumes[mounts["/mnt/globe"]] == {"persistentVolumeClaim": {"claimName": "globe-store"}}
    assert volumes[mounts["/dev/shm"]] == {"emptyDir": {"medium": "Memory", "sizeLimit": "128Gi"}}
    assert volumes[mounts["/scratch"]] == {"emptyDir": {"sizeLimit": "2Ti"}}


@versions
def test_no_missing_secret_holds_a_pod_up(backend):
    spec = pod_of(sft(backend), inputs("8"), backend)["spec"]
    secrets = [
        one["valueFrom"]["secretKeyRef"] for one in spec["containers"][0]["env"] if "secretKeyRef" in one.get("valueFrom", {})
    ]
    files = [one["secret"] | {"name": one["secret"]["secretName"]} for one in spec["volumes"] if "secret" in one]
    assert {one["name"] for one in secrets + files} == {"globe-s3"}
    assert all(one["optional"] for one in secrets + files)
    assert (bool(secrets), bool(files)) == (backend.optional_secrets, not backend.optional_secrets)


@versions
def test_the_user_is_set_where_the_backend_can(backend):
    security = pod_of(sft(backend), inputs("8"), backend)["spec"]["containers"][0].get("securityContext", {})
    assert (security.get("runAsUser"), security.get("runAsGroup")) == ((1001, 0) if backend.pod_security else (None, None))


def test_a_user_refuses_the_run_or_costs_the_labels_where_the_backend_cannot():
    newest = sft(BACKENDS["2.17"])
    with pytest.raises(Refused, match="securityContext"):
        pod_of(newest, inputs("8"), BACKENDS["2.15"])
    assert newest.settings["podMetadata"]["labels"]
    labels = pod_of(newest, inputs("8"), BACKENDS["2.5"])["metadata"]["labels"]
    assert set(labels) == {"pipeline/runid", "pipelines.kubeflow.org/v2_component"}
