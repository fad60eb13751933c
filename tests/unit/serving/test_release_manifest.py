"""What a release is made of: manifests/serving with a name, a checkpoint and a cluster filled in."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_servers import placing
from model_folders import model, publish

from globe.errors import InputError
from globe.models.checkpoints import Checkpoint, Usage, open_model
from globe.run.cluster import Cluster, Place, Secret
from globe.serving.manifest import server_manifests
from globe.serving.recipe import ServingRecipe
from globe.serving.release import pod_labels
from globe.serving.release_manifest import Asked, wanted

CLUSTER = Cluster(server_image="registry.example/globe-serve:1", fetch_image="registry.example/globe-evaluate:1")
RECIPE = ServingRecipe()
CLAIM, S3, OCI = "/mnt/globe/store/m", "s3://bucket/m", f"oci://registry.example/m@sha256:{'0' * 64}"


def made(place=CLAIM, cluster=CLUSTER, recipe=RECIPE, files=None, gpus=1, nodes=None, tolerations=(), **asked):
    checkpoint = Checkpoint(place, "", "", "", "", 0, files or {})
    where = Place("", gpus, nodes or {}, tolerations, cluster)
    return wanted(Asked(**{"name": "where"} | asked), checkpoint, recipe, where)


def parts(release):
    pod = release.deployment["spec"]["template"]["spec"]
    return pod, {one["name"]: one for one in (*pod["initContainers"], *pod["containers"])}


def environment(container):
    return {one["name"]: one.get("value") for one in container["env"]}


def test_the_gateway_serves_the_name_to_whoever_reaches_the_pod_and_the_engine_only_to_the_gateway():
    _, containers = parts(made(max_precision="region"))
    arguments = containers["vllm"]["args"]
    assert arguments[0] == CLAIM
    assert arguments[arguments.index("--served-model-name") + 1] == "where"
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    told = environment(containers["gateway"])
    assert (told["GLOBE_GATEWAY_MODEL"], told["GLOBE_GATEWAY_PEERS"]) == ("where", "where-peers:8080")
    assert (told["GLOBE_GATEWAY_CHECKPOINT"], told["GLOBE_GATEWAY_MAX_PRECISION"]) == (CLAIM, "region")
    assert {one["image"] for one in containers.values()} == {CLUSTER.server_image}


def test_the_gateway_reads_the_question_where_the_manifest_is_and_the_engine_the_weights(tmp_path):
    (tmp_path / "stage").mkdir()
    apart = publish(model(tmp_path / "m"), manifest_folder=tmp_path / "stage", usage=Usage("Where is this?"))
    claim = CLUSTER.model_copy(update={"mount_path": str(tmp_path)})
    _, containers = parts(wanted(Asked("where"), open_model(tmp_path / "stage"), RECIPE, Place(cluster=claim)))
    read = open_model(Path(environment(containers["gateway"])["GLOBE_GATEWAY_CHECKPOINT"]))
    assert (read.prompt, read.digest) == ("Where is this?", apart.digest)
    assert containers["vllm"]["args"][0] == str(tmp_path / "m")


def test_weights_whose_manifest_lies_apart_are_compared_with_it_each_time_that_a_pod_starts(tmp_path):
    (tmp_path / "stage").mkdir()
    publish(model(tmp_path / "m"), manifest_folder=tmp_path / "stage")
    claim = CLUSTER.model_copy(update={"mount_path": str(tmp_path)})
    _, containers = parts(wanted(Asked("where"), open_model(tmp_path / "stage"), RECIPE, Place(cluster=claim)))
    check = [sys.executable, *containers["checkpoint"]["command"][1:]]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    (tmp_path / "m" / "model.safetensors").write_bytes(b"others")
    ended = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (ended.returncode, "model.safetensors" in ended.stderr) == (1, True), ended.stderr


def test_a_pod_that_cannot_compare_its_weights_does_not_say_which_checkpoint_they_are(tmp_path):
    files = {"model.safetensors": "0" * 64}

    def told(place, manifest):
        checkpoint = Checkpoint(place, manifest, "", "", "", 0, files)
        _, containers = parts(wanted(Asked("where"), checkpoint, RECIPE, Place(cluster=CLUSTER)))
        return environment(containers["vllm"]).get("GLOBE_MODEL_DIGEST"), environment(containers["gateway"])

    seen, _ = told(CLAIM, f"{CLAIM}/globe-checkpoint.json")
    assert seen
    elsewhere, gateway = told(CLAIM, str(tmp_path / "globe-checkpoint.json"))  # the mirror of a store on S3
    assert elsewhere is None
    assert gateway["GLOBE_GATEWAY_CHECKPOINT"] == CLAIM
    assert told(S3, str(tmp_path / "globe-checkpoint.json"))[0] is None


def test_services_budget_and_policy_find_the_pods_and_no_others_do():
    release = made()
    labels = release.at("v1")["spec"]["template"]["metadata"]["labels"]
    assert pod_labels("where", "v1").items() <= labels.items()
    assert release.at("v1")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    others = {one["kind"]: one for one in release.others}
    assert others["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert others["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    stranger = made(name="other").at("v1")["spec"]["template"]["metadata"]["labels"]
    assert not others["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= stranger.items()
    assert not others["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= stranger.items()
    assert [one["metadata"]["name"] for one in release.services] == ["where", "where-peers"]
    assert all("globe.dev/runs-in" not in one["metadata"]["labels"] for one in (release.deployment, *release.services))


def test_a_version_is_what_is_served_and_how_and_not_how_often():
    version = made().version
    assert made(replicas=3).version == version
    assert made("/mnt/globe/store/n").version != version
    assert made(files={"model.safetensors": "0"}).version != version  # other weights at the same place
    assert made(recipe=replace_recipe(max_num_seqs=8)).version != version
    assert made(cluster=CLUSTER.model_copy(update={"server_image": "registry.example/globe-serve:2"})).version != version


PLACED = {
    "nodes": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "zone": "a"},
    "tolerations": [{"key": "team", "operator": "Exists", "effect": "NoExecute"}],
}


@pytest.mark.parametrize("place", [CLAIM, S3, OCI])
@pytest.mark.parametrize(("gpus", "placed"), [(0, {}), (2, {}), (2, PLACED)])
def test_a_released_models_pods_stand_where_a_runs_own_server_does_and_get_the_same_there(place, gpus, placed):
    recipe = replace_recipe(tensor_parallel_size=gpus or 1, max_num_seqs=7, enforce_eager=True)
    sizes = {"server_cpu": "3", "server_memory": "9Gi", "server_shm": "5Gi", "image_pull_secrets": ["pull"], "queue": "gpus"}
    cluster = CLUSTER.model_copy(update=sizes | {"server_image_pull_policy": "Always", "gpu_resource": "example.com/gpu"})
    where = Place("run-1", gpus, placed.get("nodes", {}), placed.get("tolerations", ()), cluster, "/mnt/globe/store")
    own, _ = server_manifests("grpo", Checkpoint(CLAIM, "", "", "", "", 0), recipe, where, "key")
    assert placing(made(place, cluster, recipe, gpus=gpus, **placed).deployment) == placing(own)
    assert placing(own)["nodes"] == placed.get("nodes")


def test_other_nodes_taints_or_gpus_are_another_version_and_the_same_ones_in_another_order_are_not():
    version = made(**PLACED).version
    assert made(**PLACED | {"nodes": dict(reversed(PLACED["nodes"].items()))}).version == version
    assert made(nodes=PLACED["nodes"]).version != version
    assert made(tolerations=PLACED["tolerations"]).version != version
    assert made(gpus=0, **PLACED).version != version


def test_what_the_manifest_tolerates_by_itself_is_no_change_where_a_run_says_the_same():
    assert made(tolerations=[{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]).version == made().version


def test_gpus_that_the_recipe_would_not_use_are_refused():
    with pytest.raises(InputError, match=r"serving_gpus: 4 GPUs are asked for, but the serving recipe uses 1"):
        made(gpus=4)


def replace_recipe(**values):
    return RECIPE.model_copy(update=values)


def test_weights_on_the_claim_are_checked_before_the_server_starts():
    pod, containers = parts(made())
    assert containers["checkpoint"]["command"] == ["python3", "-m", "globe.models", CLAIM]
    (claim,) = [one for one in pod["volumes"] if one["name"] == "store"]
    assert claim["persistentVolumeClaim"]["claimName"] == "globe-store"
    moved = CLUSTER.model_copy(update={"mount_path": "/data", "claim": "mine"})
    pod, containers = parts(made("/data/m", moved))
    mounts = [mount for one in containers.values() for mount in one["volumeMounts"] if mount["name"] == "store"]
    assert {(mount["mountPath"], mount["readOnly"]) for mount in mounts} == {("/data", True)}


def test_weights_on_s3_are_fetched_by_the_image_that_can_and_the_policy_lets_it_out():
    release = made(S3)
    pod, containers = parts(release)
    assert containers["weights"]["image"] == CLUSTER.fetch_image
    assert containers["weights"]["command"][-1] == S3
    assert containers["vllm"]["args"][0] == "/weights/checkpoint"
    assert not any("persistentVolumeClaim" in one for one in pod["volumes"])
    policies = [one for one in release.others if one["kind"] == "NetworkPolicy"]
    assert [one["metadata"]["name"] for one in policies] == ["where", "where-fetch"]
    labels = release.deployment["spec"]["template"]["metadata"]["labels"]
    assert policies[1]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_what_fetches_from_s3_has_the_keys_of_the_secret_that_the_cluster_names():
    def keys(cluster):
        _, containers = parts(made(S3, cluster))
        return {one["name"]: one["valueFrom"]["secretKeyRef"] for one in containers["weights"]["env"] if "valueFrom" in one}

    usual = keys(CLUSTER)
    assert {one["name"] for one in usual.values()} == {"globe-s3"}
    ours = Secret(name="ours", keys=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    assert keys(CLUSTER.model_copy(update={"secrets": [ours]})) == {
        key: {"name": "ours", "key": key, "optional": True} for key in ours.keys
    }


def test_an_image_is_mounted_by_its_digest():
    pod, containers = parts(made(OCI))
    (volume,) = [one for one in pod["volumes"] if one["name"] == "store"]
    assert volume == {"name": "store", "image": {"reference": OCI.removeprefix("oci://"), "pullPolicy": "IfNotPresent"}}
    assert containers["vllm"]["args"][0] == "/mnt/models"
    assert environment(containers["gateway"])["GLOBE_GATEWAY_CHECKPOINT"] == "/mnt/models"


@pytest.mark.parametrize("place", [CLAIM, S3, OCI])
def test_without_keys_nothing_of_them_is_left(place):
    pod, containers = parts(made(place, without_keys=True))
    assert "GLOBE_GATEWAY_KEYS_FILE" not in environment(containers["gateway"])
    assert "keys" not in [one["name"] for one in pod["volumes"]]
    assert "GLOBE_GATEWAY_KEYS_FILE" in environment(parts(made(place))[1]["gateway"])


@pytest.mark.parametrize(
    ("place", "cluster", "said"),
    [
        ("models/m", CLUSTER, "give a path as pods see it"),
        ("/elsewhere/m", CLUSTER, "a pod sees what lies below /mnt/globe, on claim globe-store"),
        (CLAIM, CLUSTER.model_copy(update={"claim": ""}), "a pod sees no claim"),
        (CLAIM, CLUSTER.model_copy(update={"server_image": ""}), "--image: name the serve image"),
        (S3, CLUSTER.model_copy(update={"fetch_image": ""}), "name the evaluate image as fetch_image"),
        ("oci://registry.example/m:1", CLUSTER, "name the image by its digest"),
    ],
)
def test_what_no_pod_could_serve_is_refused(place, cluster, said):
    with pytest.raises(InputError, match=said):
        made(place, cluster)


def test_sizes_are_the_clusters_and_gpus_the_askers():
    _, containers = parts(
        made(
            gpus=2,
            recipe=replace_recipe(tensor_parallel_size=2),
            cluster=CLUSTER.model_copy(update={"server_cpu": "3", "server_memory": "9Gi"}),
        )
    )
    assert containers["vllm"]["resources"]["limits"] == {"nvidia.com/gpu": "2", "memory": "9Gi"}
    assert containers["vllm"]["resources"]["requests"] == {"cpu": "3", "memory": "9Gi"}
    assert "nvidia.com/gpu" not in parts(made(gpus=0))[1]["vllm"]["resources"]["limits"]


def test_a_release_is_not_changed_by_being_put_somewhere():
    release = made()
    before = str(release)
    release.at("a")
    assert str(release) == before
    assert replace(release, replicas=2).at("a") == release.at("a")
