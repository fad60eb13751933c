"""manifests/admission: all that runs really make is let in, and nothing else that their right to make Deployments would bring."""

import copy

import kubernetes_validate
import pytest
import yaml
from admission import (
    FOLDERS,
    NEWEST,
    allowed,
    applies,
    as_stored,
    from_secret,
    labels_of_pods,
    mount_of_claim,
    pod,
    policies,
    refusals,
)
from rendered import OVERLAYS, edited, render

from components.images import image
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.manifest import HOME_LABEL, base, server_manifests
from globe.serving.recipe import ServingRecipe
from globe.serving.release import KINDS
from pipelines.profile import PROFILES, load_profile

RECIPE = load_recipe(ServingRecipe, "serving", "gpu")
ON_CLAIM, ON_S3 = "/mnt/globe/store/checkpoint", "/scratch/globe/stores/bucket/grpo/0123456789abcdef/checkpoint"
OURS = "system:serviceaccount:kubeflow:globe-serving"


def made(weights=ON_CLAIM, gpus=1, nodes=None, tolerations=(), recipe=RECIPE, store="/mnt/globe/store", **settings):
    """What a run makes of a checkpoint, with the label that its tear-down adds."""
    cluster = read_cluster(Cluster(**settings).for_stages(image("serve"), image("evaluate")))
    place = Place("run-1", gpus, nodes or {}, tolerations, cluster, store)
    deployment, service = server_manifests("grpo", Checkpoint(weights, "", "", "", "", 0), recipe, place, "0" * 64)
    for one in (deployment, service):
        one["metadata"]["labels"][HOME_LABEL] = "kubeflow"
    return deployment, service


@pytest.fixture(autouse=True)
def scratch(monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", "/scratch/globe")


HONEST = {
    "weights on the claim": {},
    "weights on S3": {"weights": ON_S3},
    "everything on S3": {"weights": ON_S3, "claim": "", "store": "s3://bucket"},
    "the store alone on S3": {"store": "s3://bucket"},
    "in a queue": {"queue": "globe"},
    "no GPU": {"gpus": 0},
    "two GPUs": {"gpus": 2, "recipe": RECIPE.model_copy(update={"tensor_parallel_size": 2})},
    "another GPU": {"gpu_resource": "amd.com/gpu"},
    "chosen nodes": {"nodes": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}]},
    "a registry with a login": {"image_pull_secrets": ["login"], "server_image_pull_policy": "Always"},
    "signed": {"signing_secret": "globe-signing"},
}


@pytest.mark.parametrize("settings", HONEST.values(), ids=HONEST)
@pytest.mark.parametrize("stored", [False, True], ids=["as sent", "as stored"])
def test_each_server_that_a_run_makes_is_let_in(settings, stored):
    deployment, service = made(**settings)
    deployment = as_stored(deployment) if stored else deployment
    assert refusals(policies()["servers"], deployment, params=allowed()) == set()
    assert refusals(policies()["services"], service, params=allowed()) == set()
    for one in (deployment, service):
        assert refusals(policies()["made"], one, one, allowed()) == set()
        assert refusals(policies()["made"], None, one, allowed()) == set()


@pytest.mark.parametrize("profile", [path.stem for path in PROFILES.glob("*.yaml") if load_profile(path.stem).cluster])
def test_what_is_allowed_is_what_the_profiles_name_and_the_pinned_images(profile):
    cluster = load_profile(profile).cluster
    for folder in FOLDERS[:-1]:
        assert allowed(folder)["data"] == {
            "server_image": image("serve"),
            "fetch_image": image("evaluate"),
            "claim": cluster.claim,
            "s3_secrets": cluster.s3_secret(),
            "host_network": str(cluster.host_network).lower(),
            "release": cluster.release.name,
        }


def test_other_names_and_the_nodes_network_are_let_in_once_they_are_allowed_and_not_before():
    secrets = [{"name": "keys", "keys": ["AWS_ACCESS_KEY_ID"]}, {"name": "place", "keys": ["AWS_REGION"]}]
    theirs, _ = made(weights=ON_S3, claim="theirs", secrets=secrets, host_network=True)
    told = {"claim": "theirs", "s3_secrets": "keys,place", "host_network": "true"}
    assert refusals(policies()["servers"], theirs, params=allowed(**told)) == set()
    assert refusals(policies()["servers"], theirs, params=allowed()) == {"node", "volumes", "secrets"}


def server(deployment):
    return pod(deployment)["containers"][0]


def fetcher(deployment):
    return pod(deployment)["initContainers"][0]


def volume(**source):
    return lambda one: pod(one)["volumes"].append({"name": "more"} | source)


ATTACKS = {
    "an image of somebody else": ("images", lambda one: server(one).update(image="docker.io/library/alpine:3")),
    "ours, but another version": ("images", lambda one: server(one).update(image="globe-serve:0.0.9")),
    "the other image of ours": ("images", lambda one: server(one).update(image=image("evaluate"))),
    "somebody else's image fetches": ("images", lambda one: fetcher(one).update(image="alpine")),
    "a second container": ("images", lambda one: pod(one)["containers"].append(server(one) | {"name": "b", "image": "alpine"})),
    "an ephemeral container": ("images", lambda one: pod(one).update(ephemeralContainers=[{"name": "c", "image": "alpine"}])),
    "a token": ("account", lambda one: pod(one).update(automountServiceAccountToken=True)),
    "a token by default": ("account", lambda one: pod(one).pop("automountServiceAccountToken")),
    "another account": ("account", lambda one: pod(one).update(serviceAccountName="default-editor")),
    "another account by its old name": ("account", lambda one: pod(one).update(serviceAccount="pipeline-runner")),
    "a projected token": (
        "volumes",
        volume(projected={"sources": [{"serviceAccountToken": {"path": "token", "audience": "pipelines.kubeflow.org"}}]}),
    ),
    "a secret as files": ("volumes", volume(secret={"secretName": "mlpipeline-minio-artifact"})),
    "a config map as files": ("volumes", volume(configMap={"name": "kfp-launcher"})),
    "the node's disk": ("volumes", volume(hostPath={"path": "/"})),
    "another claim": ("volumes", volume(persistentVolumeClaim={"claimName": "mysql-pv-claim"})),
    "somebody's NFS": ("volumes", volume(nfs={"server": "10.0.0.1", "path": "/"})),
    "a driver's secret": ("volumes", volume(csi={"driver": "secrets-store.csi.k8s.io"})),
    "a volume without an end": ("volumes", volume(emptyDir={})),
    "a raw device": ("volumes", lambda one: server(one).update(volumeDevices=[{"name": "store", "devicePath": "/dev/x"}])),
    "the claim to write to": ("claim", lambda one: mount_of_claim(server(one))),
    "the claim to write to, before": ("claim", lambda one: mount_of_claim(fetcher(one))),
    "the claim to write to, as if not": ("claim", lambda one: server(one)["volumeMounts"][0].update(readOnly=False)),
    "S3's keys in the server": ("secrets", lambda one: server(one)["env"].append(from_secret("globe-s3"))),
    "another secret's key": ("secrets", lambda one: fetcher(one)["env"].append(from_secret("globe-teachers"))),
    "a key that is not S3's": ("secrets", lambda one: fetcher(one)["env"].append(from_secret("globe-s3", "PASSWORD"))),
    "the signing key": ("secrets", lambda one: fetcher(one)["env"].append(from_secret("globe-signing", "GLOBE_SIGNING_KEY"))),
    "a whole secret": ("secrets", lambda one: fetcher(one).update(envFrom=[{"secretRef": {"name": "globe-s3"}}])),
    "a config map's value": (
        "secrets",
        lambda one: fetcher(one)["env"].append({"name": "X", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
    ),
    "the node's network": ("node", lambda one: pod(one).update(hostNetwork=True)),
    "a port of the node": ("node", lambda one: server(one)["ports"][0].update(hostPort=8000)),
    "the node's processes": ("node", lambda one: pod(one).update(hostPID=True)),
    "the node's memory": ("node", lambda one: pod(one).update(hostIPC=True)),
    "a node that is chosen past the scheduler": ("node", lambda one: pod(one).update(nodeName="control-plane")),
    "before all others": ("node", lambda one: pod(one).update(priorityClassName="system-node-critical")),
    "another sandbox": ("node", lambda one: pod(one).update(runtimeClassName="none")),
    "all rights": ("user", lambda one: server(one)["securityContext"].update(privileged=True, allowPrivilegeEscalation=True)),
    "a capability": ("user", lambda one: fetcher(one)["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
    "all capabilities that there are by default": ("user", lambda one: server(one)["securityContext"].pop("capabilities")),
    "root": ("user", lambda one: server(one)["securityContext"].update(runAsUser=0, runAsNonRoot=False)),
    "anybody": ("user", lambda one: pod(one)["securityContext"].pop("runAsNonRoot")),
    "every system call": ("user", lambda one: pod(one)["securityContext"].update(seccompProfile={"type": "Unconfined"})),
    "no confinement": ("user", lambda one: pod(one)["securityContext"].update(appArmorProfile={"type": "Unconfined"})),
    "nothing said": ("user", lambda one: server(one).pop("securityContext")),
    "KFP's own name": ("name and labels", lambda one: one["metadata"].update(name="ml-pipeline")),
    "as if by hand": ("name and labels", lambda one: one["metadata"]["labels"].update({"globe.dev/run": "by-hand"})),
    "of no run": ("name and labels", lambda one: one["metadata"]["labels"].pop("globe.dev/run")),
    "pods that KFP's own service leads to": ("pods' labels", lambda one: labels_of_pods(one).update(app="ml-pipeline")),
    "pods that a webhook gives a token": ("pods' labels", lambda one: labels_of_pods(one).update({"access-ml-pipeline": "true"})),
    "pods that no network policy finds": ("pods' labels", lambda one: labels_of_pods(one).pop("app.kubernetes.io/name")),
    "S3's keys for another command": ("fetching", lambda one: fetcher(one).update(command=["python", "-c", "print(1)"])),
    "S3's keys for another module": ("fetching", lambda one: fetcher(one)["command"].__setitem__(2, "http.server")),
    "S3's keys for the image's own command": ("fetching", lambda one: fetcher(one).pop("command")),
    "S3's keys and more arguments": ("fetching", lambda one: fetcher(one).update(args=["more"])),
    "S3's keys and code from elsewhere": (
        "fetching",
        lambda one: fetcher(one)["env"].append({"name": "PYTHONPATH", "value": "/mnt/globe"}),
    ),
    "S3's keys beside the claim's code": ("fetching", lambda one: fetcher(one).update(workingDir="/mnt/globe")),
    "S3's keys with another's files in place of ours": (
        "fetching",
        lambda one: fetcher(one)["volumeMounts"][0].update(mountPath="/scratch/../opt/globe"),
    ),
    "S3's keys and a home of somebody else's": (  # ~/.aws/config may name a command
        "fetching",
        lambda one: fetcher(one)["volumeMounts"].append({"name": "store", "mountPath": "/tmp", "readOnly": True}),
    ),
    "S3's keys and a home that was fetched": (
        "fetching",
        lambda one: fetcher(one)["volumeMounts"][0].update(mountPath="/tmp", subPath="globe"),
    ),
    "S3's keys under a name that leads elsewhere": (
        "secrets",
        lambda one: fetcher(one)["env"].append(from_secret("globe-s3", "AWS_SECRET_ACCESS_KEY") | {"name": "AWS_ENDPOINT_URL"}),
    ),
    "S3's keys while the server runs": ("fetching", lambda one: fetcher(one).update(restartPolicy="Always")),
    "no confinement by its old name": (
        "user",
        lambda one: one["spec"]["template"]["metadata"]["annotations"].update(
            {"container.apparmor.security.beta.kubernetes.io/vllm": "unconfined"}
        ),
    ),
    "pods of no run": ("name and labels", lambda one: one["spec"]["template"]["metadata"]["labels"].pop("globe.dev/run")),
}


@pytest.mark.parametrize(("rule", "change"), ATTACKS.values(), ids=ATTACKS)
def test_a_deployment_that_is_no_server_of_ours_is_refused_by_the_rule_for_it(rule, change):
    attack, _ = made(weights=ON_S3)
    mounts = server(attack)["volumeMounts"]
    mounts.sort(key=lambda mount: mount["name"] != "store")
    if not any(mount["name"] == "store" for mount in mounts):
        mounts.insert(0, {"name": "store", "mountPath": "/mnt/globe", "readOnly": True})
    if not any(one["name"] == "store" for one in pod(attack)["volumes"]):
        pod(attack)["volumes"].append({"name": "store", "persistentVolumeClaim": {"claimName": "globe-store"}})
    attack = copy.deepcopy(attack)  # a fetcher's security context is the server's own object
    assert refusals(policies()["servers"], attack, params=allowed()) == set()
    change(attack)
    kubernetes_validate.validate(attack, NEWEST, strict=True)
    assert rule in refusals(policies()["servers"], attack, params=allowed())
    assert refusals(policies()["servers"], attack, params=allowed()) <= {rule, "user", "fetching"}


def test_each_rule_for_servers_refuses_something():
    rules = {one["message"].partition(":")[0] for one in policies()["servers"]["spec"]["validations"]}
    assert rules - {"preparing"} == {rule for rule, _ in ATTACKS.values()}


SERVICES = {
    "a port of each node": ("reach", {"type": "NodePort"}),
    "a load balancer": ("reach", {"type": "LoadBalancer"}),
    "an address of the outside": ("reach", {"externalIPs": ["203.0.113.7"]}),
    "another name": ("reach", {"type": "ExternalName", "externalName": "example.org"}),
    "in front of somebody else": ("selector", {"selector": {"app": "ml-pipeline"}}),
    "in front of all servers": ("selector", {"selector": {"app.kubernetes.io/name": "globe-serving"}}),
}


@pytest.mark.parametrize(("rule", "spec"), SERVICES.values(), ids=SERVICES)
def test_a_service_that_leads_elsewhere_is_refused(rule, spec):
    _, service = made()
    service["spec"] |= spec
    kubernetes_validate.validate(service, NEWEST, strict=True)
    assert refusals(policies()["services"], service, params=allowed()) == {rule}


def test_a_service_of_another_name_is_refused():
    _, service = made()
    service["metadata"]["name"] = "ml-pipeline"
    assert refusals(policies()["services"], service, params=allowed()) == {"name and labels"}


def test_a_run_changes_and_removes_what_runs_have_made_alone():
    theirs = {"metadata": {"name": "ml-pipeline", "labels": {"app": "ml-pipeline"}}}
    by_hand, _ = base()
    for old in (theirs, by_hand, {"metadata": {"name": "bare"}}):
        found = [refusals(policies()["made"], new, old, allowed(release="where")) for new in (made()[0], None)]
        assert found == [{"made by a run"}] * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE", "DELETE"])
def test_the_account_of_runs_is_held_to_it_whatever_it_does_and_nobody_else(kind, operation):
    found = policies().values()
    assert any(applies(policy, kind, operation, OURS) for policy in found)
    assert any(applies(policy, kind, operation, "system:serviceaccount:team-a:globe-serving") for policy in found)
    for other in ("admin", "globe-serving", "system:serviceaccount:kube-system:deployment-controller"):
        assert not any(applies(policy, kind, operation, other) for policy in found)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_each_policy_is_bound_to_deny_in_its_namespace_alone_and_without_its_config_map_nothing_is_let_in(folder):
    documents = render(folder)
    (told,) = [one for one in documents if one["kind"] == "ConfigMap"]
    namespace = told["metadata"]["namespace"]
    bindings = [one["spec"] for one in documents if one["kind"] == "ValidatingAdmissionPolicyBinding"]
    by_name = {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == "ValidatingAdmissionPolicy"}
    assert {one["policyName"] for one in bindings} == by_name.keys()
    for one in bindings:
        assert one["validationActions"] == ["Deny"]
        selected = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        assert one["matchResources"] == {"namespaceSelector": selected}
        policy = by_name[one["policyName"]]
        assert policy["failurePolicy"] == "Fail"
        needs = "paramKind" in policy
        assert one.get("paramRef") == ({"name": told["metadata"]["name"], "parameterNotFoundAction": "Deny"} if needs else None)
    assert all("paramKind" in policy for policy in by_name.values())


def test_in_a_namespace_of_their_own_servers_have_no_claim():
    deployment, _ = made(weights=ON_S3, claim="", store="s3://bucket")
    on_claim, _ = made()
    told, policy = allowed(FOLDERS[-1]), policies(FOLDERS[-1])["servers"]
    assert refusals(policy, deployment, params=told) == set()
    assert refusals(policy, on_claim, params=told) == {"volumes"}


def test_a_config_map_that_is_edited_is_found_in_the_edited_namespace(tmp_path):
    copy_of = edited(OVERLAYS[0], tmp_path, namespace="team-a")
    assert "kubeflow" not in yaml.safe_dump_all(render(copy_of / "admission")).replace("kubeflow.org", "")
