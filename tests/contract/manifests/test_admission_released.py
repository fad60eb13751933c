"""manifests/admission: what a promotion makes of a released model is let in where its name is allowed, and nothing beyond it."""

import copy

import kubernetes_validate
import pytest
from admission import NEWEST, allowed, as_stored, from_secret, labels_of_pods, mount_of_claim, pod, policies, refusals

from components.images import image
from globe.evaluation.released import planned
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place, read_cluster
from globe.serving.recipe import ServingRecipe
from globe.serving.release import pod_labels

ON_CLAIM = "/mnt/globe/store/checkpoint"
RELEASED = allowed(release="where")


def release(place=ON_CLAIM, *, without_keys=False, **settings):
    """All that a promotion makes: the Deployment as it is applied, and the rest by kind and name."""
    named = {"name": "where", "without_keys": without_keys}
    cluster = read_cluster(Cluster(release=named, **settings).for_stages(image("serve"), image("evaluate")))
    where = Place("run-1", 1, {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, [{"operator": "Exists"}], cluster)
    new = planned(Checkpoint(place, "", "", "", "", 0), ServingRecipe(), where, lambda text: None)
    deployment = new.at(new.version)
    deployment["spec"]["replicas"] = 1
    return deployment, {(one["kind"], one["metadata"]["name"]): one for one in (*new.services, *new.others)}


def looked_at(one):
    """What the policies say of a released model's object that is made, changed and removed."""
    about = {"Deployment": "servers", "Service": "services"}.get(one["kind"], "released")
    made_and_changed = [refusals(policies()[about], one, old, RELEASED) for old in (None, one)]
    return set().union(*made_and_changed, *(refusals(policies()["made"], new, one, RELEASED) for new in (one, None)))


@pytest.mark.parametrize("place", [ON_CLAIM, "s3://bucket/checkpoint"])
@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("stored", [False, True], ids=["as sent", "as stored"])
def test_all_that_a_promotion_makes_is_let_in_where_its_name_is_allowed_and_nothing_of_it_elsewhere(place, keys, stored):
    cluster = {"claim": ""} if place.startswith("s3") else {}
    deployment, others = release(place, without_keys=not keys, **cluster)
    deployment = as_stored(deployment) if stored else deployment
    for (kind, _), one in others.items():
        if kind == "Service":  # what it leads to is applied by itself, once the new pods are ready
            one["spec"] |= {"selector": pod_labels("where", "v1") if stored else None}
            one["spec"] = {name: value for name, value in one["spec"].items() if value is not None}
    assert len(others) == (6 if cluster else 5)
    for one in (deployment, *others.values()):
        assert looked_at(one) == set()
        about = {"Deployment": "servers", "Service": "services"}.get(one["kind"], "released")
        for told in (allowed(), allowed(release="other")):
            assert "name and labels" in refusals(policies()[about], one, params=told)
            assert refusals(policies()["made"], None, one, told) == {"made by a run"}


def init(deployment, name):
    return next(one for one in pod(deployment)["initContainers"] if one["name"] == name)


def claim_instead_of(one, name):
    """What is to be a folder of the pod's own becomes the claim, to read."""
    (volume,) = [volume for volume in pod(one)["volumes"] if volume["name"] == name]
    del volume["emptyDir"]
    volume["persistentVolumeClaim"] = {"claimName": "globe-store"}
    for container in (*pod(one)["initContainers"], *pod(one)["containers"]):
        for mount in container["volumeMounts"]:
            mount |= {"readOnly": True} if mount["name"] == name else {}


OF_A_RELEASE = {
    "the key for another script": ("preparing", lambda one: init(one, "key")["command"].__setitem__(2, "print(1)")),
    "the key beside the claim": (
        "preparing",
        lambda one: init(one, "key")["volumeMounts"].append({"name": "store", "mountPath": "/mnt/globe", "readOnly": True}),
    ),
    "the key beside the claim under another name": ("preparing", lambda one: claim_instead_of(one, "key")),
    "a module of somebody else": ("preparing", lambda one: init(one, "checkpoint")["command"].__setitem__(2, "http.server")),
    "code from elsewhere": (
        "preparing",
        lambda one: init(one, "checkpoint").update(env=[{"name": "PYTHONPATH", "value": "/mnt/globe"}]),
    ),
    "another secret as files": (
        "volumes",
        lambda one: pod(one)["volumes"].append({"name": "x", "secret": {"secretName": "globe-teachers"}}),
    ),
    "another secret's key": ("secrets", lambda one: init(one, "key")["env"].append(from_secret("globe-teachers"))),
    "the server key of another secret": (
        "secrets",
        lambda one: init(one, "key").update(env=[from_secret("other", "GLOBE_SERVER_KEY") | {"name": "GLOBE_SERVER_KEY"}]),
    ),
    "another account": ("account", lambda one: pod(one).update(serviceAccountName="default-editor")),
    "another account by its old name": ("account", lambda one: pod(one).update(serviceAccount="pipeline-runner")),
    "a token": ("account", lambda one: pod(one).update(automountServiceAccountToken=True)),
    "an image of somebody else": ("images", lambda one: pod(one)["containers"][1].update(image="alpine")),
    "an image of somebody else before": ("images", lambda one: init(one, "key").update(image="alpine")),
    "the claim to write to": ("claim", lambda one: mount_of_claim(pod(one)["containers"][1])),
    "pods of no release": ("name and labels", lambda one: labels_of_pods(one).pop("globe.dev/released")),
    "another release": ("name and labels", lambda one: one["metadata"].update(name="other-1")),
    "pods that KFP's own service leads to": ("pods' labels", lambda one: labels_of_pods(one).update(app="ml-pipeline")),
    "root": ("user", lambda one: init(one, "key")["securityContext"].update(runAsUser=0, runAsNonRoot=False)),
    "the node's network": ("node", lambda one: pod(one).update(hostNetwork=True)),
}


@pytest.mark.parametrize(("rule", "change"), OF_A_RELEASE.values(), ids=OF_A_RELEASE)
def test_what_goes_beyond_a_released_models_pods_is_refused_by_the_rule_for_it(rule, change):
    attack = copy.deepcopy(release()[0])
    change(attack)
    kubernetes_validate.validate(attack, NEWEST, strict=True)
    assert rule in refusals(policies()["servers"], attack, params=RELEASED)


AROUND = {
    "a policy for all pods": ("NetworkPolicy", "pods", lambda one: one["spec"].update(podSelector={})),
    "a policy for KFP's pods": (
        "NetworkPolicy",
        "pods",
        lambda one: one["spec"].update(podSelector={"matchLabels": {"app": "mysql"}}),
    ),
    "a policy of another name": ("NetworkPolicy", "name and labels", lambda one: one["metadata"].update(name="default-deny")),
    "an account with a token": ("ServiceAccount", "account", lambda one: one.update(automountServiceAccountToken=True)),
    "an account of the cloud": (
        "ServiceAccount",
        "account",
        lambda one: one["metadata"].update(annotations={"iam.gke.io/gcp-service-account": "a@b"}),
    ),
    "nobody may be drained": (
        "PodDisruptionBudget",
        "pods",
        lambda one: one["spec"].update(selector={"matchLabels": {"app": "ml-pipeline"}}),
    ),
}


@pytest.mark.parametrize(("kind", "rule", "change"), AROUND.values(), ids=AROUND)
def test_what_is_around_a_released_model_is_about_its_pods_alone(kind, rule, change):
    attack = copy.deepcopy(release()[1][kind, "where"])
    change(attack)
    assert refusals(policies()["released"], attack, params=RELEASED) == {rule}


def test_a_released_models_service_leads_to_nobody_else():
    attack = copy.deepcopy(release()[1]["Service", "where"])
    attack["spec"]["selector"] = {"app": "ml-pipeline"}
    assert refusals(policies()["services"], attack, params=RELEASED) == {"selector"}
