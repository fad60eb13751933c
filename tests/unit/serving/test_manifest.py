"""A server's Deployment and Service: names and labels that Kubernetes takes, settings where they belong, mistakes told early."""

import re

import kubernetes_validate
import pytest

from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Place, read_cluster
from globe.serving.manifest import (
    host_port,
    label_value,
    run_labels,
    server_manifests,
    server_name,
)
from globe.serving.recipe import ServingRecipe
from globe.storage import S3_VARIABLES

MODEL = Checkpoint("/mnt/globe/store/model", "", "", "", "", 0, {"model.safetensors": "0"})
KEY = "a-key-that-is-in-no-description" * 2
ODD = [
    "grpo",
    "reward_model",
    "Qwen2.5-VL-7B",
    "a/b",
    "ä",
    "-",
    "",
    "x" * 200,
    "20261122-133000-ab12",
    "UPPER",
    "a.b",
    "a-b",
    "1",
]


def made(
    model="grpo",
    checkpoint=MODEL,
    recipe=None,
    run="run-1",
    gpus=1,
    nodes=None,
    tolerations=(),
    store="/mnt/globe/store",
    key=KEY,
    **settings,
):
    cluster = read_cluster({"server_image": "globe-serve:0.1.0"} | settings)
    manifests = server_manifests(
        model, checkpoint, recipe or ServingRecipe(), Place(run, gpus, nodes or {}, tolerations, cluster, store), key
    )
    for manifest in manifests:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    return manifests


def pod_of(deployment):
    return deployment["spec"]["template"]["spec"]


def container_of(deployment):
    return pod_of(deployment)["containers"][0]


def volumes_of(deployment):
    return {volume["name"]: volume for volume in pod_of(deployment)["volumes"]}


def stored(deployment):
    """Which part of the claim a server sees, by where it sees it; it can only read it."""
    mounts = [mount for mount in container_of(deployment)["volumeMounts"] if mount["name"] == "store"]
    assert all(mount["readOnly"] for mount in mounts)
    return {mount["mountPath"]: mount.get("subPath", "") for mount in mounts}


def mounts_of(container):
    return {mount["name"]: mount for mount in container["volumeMounts"]}


@pytest.mark.parametrize("run", ODD)
@pytest.mark.parametrize("model", ["grpo", "Qwen2.5-VL-7B", "", "ä" * 100])
def test_names_are_fit_for_dns_and_labels_for_kubernetes_whatever_a_run_or_a_model_is_called(run, model):
    name = server_name(run, model)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63
    for value in run_labels(run, model).values():
        assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?", value)
        assert len(value) <= 63


def test_names_and_labels_are_different_for_different_runs_and_models_and_always_the_same():
    pairs = [(run, model) for run in ODD for model in ODD]
    assert len({server_name(*pair) for pair in pairs}) == len(pairs)
    assert len({label_value(text) for text in ODD}) == len(ODD)
    assert server_name("run-1", "grpo") == "globe-grpo-90fbbf3901"


def test_a_label_that_kubernetes_takes_stays_readable():
    assert run_labels("20261122-133000-ab12", "reward_model") == {
        "app.kubernetes.io/part-of": "globe",
        "globe.dev/run": "20261122-133000-ab12",
        "globe.dev/model": "reward_model",
    }


def test_the_service_and_the_deployment_choose_the_pods_of_this_run_and_model_only():
    deployment, service = made(run="r", model="m")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    chosen = {"app.kubernetes.io/name": "globe-serving", "globe.dev/run": "r", "globe.dev/model": "m"}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == chosen
    assert chosen.items() <= labels.items()
    assert run_labels("r", "m").items() <= service["metadata"]["labels"].items()
    assert run_labels("r", "m").items() <= deployment["metadata"]["labels"].items()


def test_every_setting_finds_its_place():
    toleration = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}
    deployment, _ = made(
        gpus=2,
        recipe=ServingRecipe(tensor_parallel_size=2),
        nodes={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        tolerations=[toleration],
        server_image="registry.example/serve@sha256:0",
        claim="other",
        mount_path="/mnt/globe/store",
        gpu_resource="amd.com/gpu",
        server_cpu="3",
        server_memory="5Gi",
        server_shm="1Gi",
        queue="gpus",
        image_pull_secrets=["pull"],
        server_image_pull_policy="Always",
    )
    pod, container = pod_of(deployment), container_of(deployment)
    assert deployment["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert container["image"] == "registry.example/serve@sha256:0"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == {
        "requests": {"cpu": "3", "memory": "5Gi"},
        "limits": {"memory": "5Gi", "amd.com/gpu": "2"},
    }
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert pod["tolerations"] == [toleration]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert volumes_of(deployment)["store"]["persistentVolumeClaim"]["claimName"] == "other"
    assert volumes_of(deployment)["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert stored(deployment)["/mnt/globe/store/model"] == "model"


def test_without_gpus_none_is_asked_for():
    deployment, _ = made(gpus=0)
    assert "nvidia.com/gpu" not in container_of(deployment)["resources"]["limits"]


def test_probes_and_grace_follow_the_recipe():
    deployment, _ = made(recipe=ServingRecipe(startup_timeout_s=3601, shutdown_timeout_s=100))
    startup = container_of(deployment)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3601
    assert pod_of(deployment)["terminationGracePeriodSeconds"] == 15 + 100 + 30
    assert deployment["spec"]["progressDeadlineSeconds"] > 3601


def test_on_the_nodes_network_every_server_has_a_port_of_its_own():
    ports = []
    for model in ("a", "b"):
        deployment, service = made(model=model, host_network=True)
        assert pod_of(deployment)["hostNetwork"] is True
        (port,) = container_of(deployment)["ports"]
        assert port["containerPort"] == port["hostPort"] == host_port(deployment["metadata"]["name"])
        args = container_of(deployment)["args"]
        assert args[args.index("--port") + 1] == str(port["hostPort"])
        assert service["spec"]["ports"][0]["targetPort"] == port["name"]
        ports.append(port["hostPort"])
    assert len(set(ports)) == 2
    assert all(20_000 <= port < 30_000 for port in ports)


def test_one_servers_settings_never_leak_into_anothers():
    made(host_network=True, queue="gpus", server_cpu="99")
    deployment, _ = made()
    assert "hostNetwork" not in pod_of(deployment)
    assert "kueue.x-k8s.io/queue-name" not in deployment["metadata"]["labels"]
    assert container_of(deployment)["resources"]["requests"]["cpu"] == "8"


S3_STORE = "s3://bucket/prefix"


def fetchers_of(deployment):
    """What each container before the server fetches, once it is checked that only these have S3's keys."""
    server, commands = container_of(deployment), {}
    for fetcher in pod_of(deployment)["initContainers"]:
        assert (fetcher["image"], server["image"]) == ("small", "globe-serve:0.1.0")
        keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in fetcher["env"] if "valueFrom" in entry}
        assert keys == {name: {"name": "globe-s3", "key": name, "optional": True} for name in S3_VARIABLES}
        assert {"name": "GLOBE_SCRATCH", "value": "/scratch/globe"} in fetcher["env"]
        assert fetcher["securityContext"] == server["securityContext"]
        commands[fetcher["name"]] = fetcher["command"][2:]
    assert not any("valueFrom" in entry for entry in server["env"])
    return commands


def labels_of(deployment):
    return deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("claim", ["globe-store", ""])
def test_weights_on_s3_are_fetched_before_the_server_starts_which_never_sees_the_keys(monkeypatch, claim):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    weights = "/scratch/globe/stores/bucket+prefix/grpo/0123456789abcdef/checkpoint"
    model = Checkpoint(weights, "", "", "", "", 0)
    deployment, _ = made(checkpoint=model, claim=claim, fetch_image="small", store=S3_STORE)
    fetcher, fetches_key = pod_of(deployment)["initContainers"]
    server = container_of(deployment)
    assert fetchers_of(deployment)["fetch-weights"] == ["globe.models", weights]
    assert mounts_of(fetches_key)["key"] == {"name": "key", "mountPath": "/globe-key"}
    assert mounts_of(server)["key"] == {"name": "key", "mountPath": "/globe-key", "readOnly": True}
    assert labels_of(deployment)["globe.dev/fetches-weights"] == "true"
    assert server["args"][0] == weights
    assert mounts_of(server)["weights"] == {"name": "weights", "mountPath": "/scratch/globe", "readOnly": True}
    assert mounts_of(fetcher)["weights"] == {"name": "weights", "mountPath": "/scratch/globe"}
    emptied = {name: volume["emptyDir"] for name, volume in volumes_of(deployment).items() if "emptyDir" in volume}
    assert emptied["weights"] == {"sizeLimit": "500Gi"}
    assert all("sizeLimit" in volume for volume in emptied.values())
    assert "store" not in volumes_of(deployment)
    assert stored(deployment) == {}


def test_a_key_and_weights_are_each_fetched_only_if_they_lie_on_s3(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    weights = Checkpoint("/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint", "", "", "", "", 0)
    here, _ = made()
    assert "initContainers" not in pod_of(here)
    assert "globe.dev/fetches-weights" not in labels_of(here)
    weights_there, _ = made(checkpoint=weights, fetch_image="small")
    assert list(fetchers_of(weights_there)) == ["fetch-weights"]
    assert list(stored(weights_there)) == ["/globe-key/server-key"]
    key_there, _ = made(fetch_image="small", store=S3_STORE)
    assert list(fetchers_of(key_there)) == ["fetch-key"]
    assert stored(key_there) == {"/mnt/globe/store/model": "store/model"}
    assert labels_of(key_there)["globe.dev/fetches-weights"] == "true"


def test_a_server_sees_its_weights_and_its_key_of_the_claim_and_nothing_else():
    deployment, _ = made()
    mounts = stored(deployment)
    key = mounts.pop("/globe-key/server-key")
    assert mounts == {"/mnt/globe/store/model": "store/model"}
    assert re.fullmatch(r"store/runs/run-1/server-grpo-[0-9a-f]{8}\.key", key)
    assert stored(made(model="other")[0])["/globe-key/server-key"] != key


def test_links_in_a_models_folder_are_followed_as_far_as_the_claim_reaches(tmp_path):
    claim = tmp_path / "claim"
    snapshot, blobs = claim / "hub" / "model" / "snapshots" / "1", claim / "hub" / "model" / "blobs"
    for folder in (snapshot, blobs, tmp_path / "elsewhere"):
        folder.mkdir(parents=True)
    (blobs / "weights").write_text("")
    (tmp_path / "elsewhere" / "weights").write_text("")
    (snapshot / "model.safetensors").symlink_to("../../blobs/weights")
    (claim / "current").symlink_to(claim / "store")
    (claim / "store").mkdir()

    def seen(folder):
        checkpoint = Checkpoint(str(folder), "", "", "", "", 0)
        mounts = stored(made(checkpoint=checkpoint, mount_path=str(claim), store=str(claim / "store"))[0])
        del mounts["/globe-key/server-key"]
        return mounts

    assert seen(snapshot) == {str(claim / "hub" / "model"): "hub/model"}
    assert seen(claim / "current") == {str(claim / "current"): "store"}
    (snapshot / "more.safetensors").symlink_to(tmp_path / "elsewhere" / "weights")
    with pytest.raises(InputError, match="a server sees only what lies below"):
        seen(snapshot)


def test_the_servers_key_is_in_no_description_and_a_new_one_makes_a_new_pod():
    documents = [made(key=key)[0] for key in (KEY, KEY, "another")]
    assert KEY not in str(documents)
    assert documents[0] == documents[1] != documents[2]
    annotations = [document["spec"]["template"].pop("metadata") for document in documents]
    assert annotations[0] != annotations[2]
    assert documents[0] == documents[2]
    environment = {entry["name"]: entry.get("value") for entry in container_of(documents[0])["env"]}
    assert environment["GLOBE_SERVER_KEY_FILE"] == "/globe-key/server-key"
    assert environment["GLOBE_MODEL_DIGEST"] == MODEL.digest
    assert not {"GLOBE_SERVER_KEY", "GLOBE_SERVER_MAY_BE_OPEN"} & environment.keys()


def test_keys_come_from_the_secrets_that_the_profile_names_and_no_others(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    model = Checkpoint("/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint", "", "", "", "", 0)
    secrets = [
        {"name": "mine", "keys": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]},
        {"name": "places", "keys": ["AWS_REGION", "GLOBE_TEACHER_API_KEY"]},
    ]
    deployment, _ = made(checkpoint=model, claim="", fetch_image="small", secrets=secrets, store=S3_STORE)
    fetcher, _ = pod_of(deployment)["initContainers"]
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"] for entry in fetcher["env"] if "valueFrom" in entry}
    assert keys == {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_REGION": "places"}


def test_how_much_a_server_may_fetch_is_the_profiles_and_the_signing_key_is_none_of_its_keys(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    model = Checkpoint("/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint", "", "", "", "", 0)
    settings = {"signing_secret": "globe-signing", "server_weights": "40Gi"}
    deployment, _ = made(checkpoint=model, fetch_image="small", **settings)
    assert volumes_of(deployment)["weights"]["emptyDir"] == {"sizeLimit": "40Gi"}
    assert "globe-signing" not in str(deployment)
    assert "GLOBE_SIGN" not in str(deployment)


def test_what_fetches_weights_has_the_keys_for_s3_that_the_serving_stage_has(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    model = Checkpoint("/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint", "", "", "", "", 0)
    secrets = [
        {"name": "reads", "keys": ["AWS_ACCESS_KEY_ID"], "stages": ["serving"]},
        {"name": "writes", "keys": ["AWS_ACCESS_KEY_ID"], "stages": ["grpo"]},
    ]
    deployment, _ = made(checkpoint=model, fetch_image="small", secrets=secrets)
    (fetcher,) = pod_of(deployment)["initContainers"]
    assert [entry["valueFrom"]["secretKeyRef"]["name"] for entry in fetcher["env"] if "valueFrom" in entry] == ["reads"]


def refusal(**changes):
    with pytest.raises(InputError) as caught:
        made(**changes)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_gpus_that_the_recipe_would_not_use_are_refused():
    assert 'serving.tensor_parallel_size": 4' in refusal(gpus=4)


@pytest.mark.parametrize("uri", ["/somewhere/else", "/mnt/globes/model"])
def test_weights_that_a_pod_cannot_see_are_refused(uri):
    text = refusal(checkpoint=Checkpoint(uri, "", "", "", "", 0))
    assert uri in text
    assert "/mnt/globe" in text


def test_weights_on_s3_are_refused_without_an_image_that_can_fetch_them(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")
    weights = "/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint"
    text = refusal(checkpoint=Checkpoint(weights, "", "", "", "", 0))
    assert text.startswith("cluster settings: fetch_image: ")
    assert weights in text


def test_weights_on_a_claim_are_refused_where_there_is_none():
    assert "a server sees only what lies on S3" in refusal(claim="")


def test_a_store_that_a_server_cannot_see_is_refused_since_its_key_lies_there():
    assert "/elsewhere/runs/run-1/server-grpo" in refusal(store="/elsewhere")
    assert refusal(store=S3_STORE).startswith(f"cluster settings: fetch_image: {S3_STORE} lies on S3")
    assert refusal(store="").startswith("store: ")


def test_a_run_without_a_name_is_refused():
    assert refusal(run="").startswith("run: ")


def test_an_image_must_be_given():
    assert refusal(server_image="").startswith("cluster settings: server_image: ")
