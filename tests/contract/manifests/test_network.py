"""Who reaches a server, and whom it reaches, by the rules of NetworkPolicy over the pods that we really make.

The rules are simulated here (Kubernetes' API reference, NetworkPolicySpec): no cluster's network enforces them in these tests.
"""

from dataclasses import dataclass, field
from functools import cache

import kubernetes_validate
import pytest
import yaml
from rendered import BY_HAND, MANIFESTS, OVERLAYS, SERVING, each_overlay, kustomization, of_kind, pod_of, render

from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster, Place
from globe.serving.manifest import PORT, server_manifests
from globe.serving.recipe import ServingRecipe
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED

S3, HTTPS, DNS, MINIO, SEAWEEDFS = "s3://bucket/store", 443, 53, 9000, 8333
GATEWAY, METRICS = 8080, 8081
SERVED = sorted(path.parent for path in SERVING.glob("overlays/*/kustomization.yaml"))
each_served = pytest.mark.parametrize("overlay", SERVED, ids=lambda path: path.name)


@dataclass(frozen=True)
class Pod:
    """A pod, or with no namespace an address outside of the cluster."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = "runs"
    namespace_labels: dict[str, str] = field(default_factory=dict)


OUTSIDE = Pod(namespace="")
ATTACKER = Pod({"app": "attacker"})


def selects(selector, labels):
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(rule, pod, home):
    """Whether one entry of `from` or `to` means a pod; `home` is the policy's namespace."""
    assert rule.keys() <= {"podSelector", "namespaceSelector"}
    space = selects(rule["namespaceSelector"], pod.namespace_labels) if "namespaceSelector" in rule else pod.namespace == home
    return bool(pod.namespace) and space and selects(rule.get("podSelector", {}), pod.labels)


def passes(policies, pod, direction, other, port, protocol):
    """Whether the policies that select a pod let a connection in or out: all of it if there are none, else what one allows."""
    whose = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], pod.labels)]
    whose = [spec for spec in whose if direction in spec["policyTypes"]]
    peers = "from" if direction == "Ingress" else "to"
    return not whose or any(
        (peers not in rule or any(is_peer(peer, other, pod.namespace) for peer in rule[peers]))
        and ("ports" not in rule or {"protocol": protocol, "port": port} in rule["ports"])
        for spec in whose
        for rule in spec.get(direction.lower()) or []
    )


def reaches(policies, source, target, port, protocol="TCP"):
    """Whether a pod can open a connection to another; the policies are those of namespace `runs`."""
    out = source.namespace != "runs" or passes(policies, source, "Egress", target, port, protocol)
    return out and (target.namespace != "runs" or passes(policies, target, "Ingress", source, port, protocol))


def policies_of(folder):
    found = of_kind(folder, "NetworkPolicy")
    for policy in found:
        kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)
    return found


def server(store="/mnt/globe/store", weights="/mnt/globe/store/model"):
    """A run's server, as its pod is labelled."""
    place = Place("run-1", 1, cluster=Cluster(server_image="serve", fetch_image="evaluate"), store=store)
    recipe = load_recipe(ServingRecipe, "serving", "gpu")
    deployment, _ = server_manifests("policy", Checkpoint(weights, "", "", "", "", 0), recipe, place, "key")
    return Pod(deployment["spec"]["template"]["metadata"]["labels"])


def by_hand(overlay=BY_HAND):
    (pod,) = [pod for document in render(overlay) if (pod := pod_of(document))]
    return Pod(pod["metadata"]["labels"])


@cache
def stages():
    """The pod of each task of each package that is committed: for each pipeline and version of KFP."""
    packages = sorted(COMPILED.glob("*/*.yaml"))
    assert len(packages) >= len(BACKENDS) * len(PIPELINES)
    found = {}
    for package in packages:
        _, platform = yaml.load_all(package.read_text(), yaml.CSafeLoader)
        for name, settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
            found[f"{package.parent.name} {package.stem} {name}"] = Pod(settings["podMetadata"]["labels"])
    return found


def a_stage():
    return next(iter(stages().values()))


@each_overlay
def test_every_stage_reaches_every_server_and_no_other_pod_does(overlay):
    policies = policies_of(overlay)
    servers = {"run's": server(), "run's, on S3": server(S3)}
    assert not [name for name, pod in stages().items() for one in servers.values() if not reaches(policies, pod, one, PORT)]
    strangers = [ATTACKER, Pod(), OUTSIDE, Pod({"app.kubernetes.io/part-of": "kubeflow"}), Pod({"pipeline/runid": "x"})]
    strangers += [Pod(namespace="theirs"), Pod({"app.kubernetes.io/part-of": "globe"}, namespace="theirs")]
    for one in servers.values():
        assert not [pod for pod in strangers if reaches(policies, pod, one, PORT)]
        assert reaches([], ATTACKER, one, PORT)  # so it is without the policies
        assert not reaches(policies, a_stage(), one, PORT + 1)


@each_overlay
def test_a_server_reaches_nobody_but_one_whose_weights_or_key_lie_on_s3_fetches_them(overlay):
    policies = policies_of(overlay)
    ours = a_stage()
    closed, fetching = [server()], [server(S3)]
    for one in (*closed, *fetching):
        assert not any(reaches(policies, one, other, PORT) for other in (server(), by_hand(), server(S3)))
        assert not any(
            reaches(policies, one, other, port) for other in (ours, ATTACKER, OUTSIDE) for port in (22, 80, 6443, 8888)
        )
    for one in closed:
        assert not any(reaches(policies, one, other, port) for other in (OUTSIDE, ATTACKER) for port in (HTTPS, MINIO, DNS))
        assert reaches([], one, OUTSIDE, HTTPS)
    for one in fetching:
        assert all(reaches(policies, one, OUTSIDE, port) for port in (HTTPS, MINIO, SEAWEEDFS, DNS))
        assert reaches(policies, one, Pod({"k8s-app": "kube-dns"}, namespace="kube-system"), DNS, "UDP")


@each_overlay
def test_stages_and_other_pods_of_the_namespace_are_left_as_they_were(overlay):
    policies = policies_of(overlay)
    for pod in (a_stage(), ATTACKER):
        assert reaches(policies, pod, OUTSIDE, HTTPS)
        assert reaches(policies, ATTACKER, pod, 8080)


def test_runs_elsewhere_reach_servers_in_a_namespace_of_their_own_once_that_says_so():
    policies = policies_of(MANIFESTS / "network")
    labels = a_stage().labels
    asking = Pod(labels, "elsewhere", {"globe.dev/asks-servers": "true"})
    assert reaches(policies, asking, server(), PORT)
    assert not reaches(policies, Pod(labels, "elsewhere"), server(), PORT)
    assert not reaches(policies, Pod({}, "elsewhere", {"globe.dev/asks-servers": "true"}), server(), PORT)


def test_servers_in_a_namespace_of_their_own_are_closed_by_what_makes_them_possible_there():
    policies = policies_of(MANIFESTS / "servers")
    assert {policy["metadata"]["namespace"] for policy in policies} == {"globe-servers"}
    labels, runs = a_stage().labels, {"kubernetes.io/metadata.name": "kubeflow"}
    assert reaches(policies, Pod(labels, "kubeflow", runs), server(S3), PORT)
    strangers = [ATTACKER, OUTSIDE, Pod({}, "kubeflow", runs), Pod(labels, "theirs", {"kubernetes.io/metadata.name": "theirs"})]
    assert not [pod for pod in strangers if reaches(policies, pod, server(S3), PORT)]
    assert not reaches(policies, server(S3), OUTSIDE, 80)
    assert reaches(policies, server(S3), OUTSIDE, HTTPS)


@each_served
def test_a_server_by_hand_is_asked_by_pods_of_ours_on_its_gateways_port_and_by_nobody_else(overlay):
    policies, served = policies_of(overlay), by_hand(overlay)
    strangers = [ATTACKER, Pod(), OUTSIDE, Pod({"app.kubernetes.io/part-of": "globe"}, namespace="theirs")]
    assert all(reaches(policies, pod, served, GATEWAY) for pod in (a_stage(), served))
    assert not [pod for pod in strangers if reaches(policies, pod, served, GATEWAY)]
    for port in (PORT, METRICS, 22):
        assert not any(reaches(policies, pod, served, port) for pod in (a_stage(), served, *strangers))


@each_served
def test_a_server_by_hand_reaches_its_peers_and_dns_and_where_its_checkpoint_lies_on_s3_that(overlay):
    policies, served = policies_of(overlay), by_hand(overlay)
    assert reaches(policies, served, served, GATEWAY)
    assert reaches(policies, served, Pod({"k8s-app": "kube-dns"}, namespace="kube-system"), DNS, "UDP")
    fetches = overlay.name in ("standalone-s3", "kserve")
    for port in (HTTPS, MINIO, SEAWEEDFS):
        assert reaches(policies, served, OUTSIDE, port) == fetches
    others = [a_stage(), ATTACKER, OUTSIDE, server()]
    assert not any(reaches(policies, served, other, port) for other in others for port in (22, 80, 6443, PORT, GATEWAY))


@each_served
def test_two_models_by_hand_beside_each_other_do_not_reach_each_other_as_peers(overlay):
    policies, served = policies_of(overlay), by_hand(overlay)
    other = Pod(served.labels | {"globe.dev/model": "another"})
    assert not reaches(policies, served, other, GATEWAY)


COMPONENTS = SERVING / "components"


def component(name):
    """The policy that a component of manifests/serving brings."""
    return yaml.safe_load((COMPONENTS / name / "networkpolicy.yaml").read_text())


def test_whoever_brings_requests_from_outside_reaches_the_gateway_and_not_its_metrics():
    policies = [*policies_of(BY_HAND), component("outside")]
    outside = Pod({"app": "controller"}, "ingress-nginx", {"kubernetes.io/metadata.name": "ingress-nginx"})
    assert reaches(policies, outside, by_hand(), GATEWAY)
    assert not reaches(policies, outside, by_hand(), METRICS)
    assert not reaches(policies, Pod(outside.labels, "theirs", {"kubernetes.io/metadata.name": "theirs"}), by_hand(), GATEWAY)
    for name in ("ingress", "gateway-api"):
        assert kustomization(COMPONENTS / name)["components"] == ["../outside"]
    (policy,) = [one for one in policies_of(SERVING / "examples" / "04-outside") if one["metadata"]["name"] == "globe-outside"]
    gateways = Pod({}, "gateways", {"kubernetes.io/metadata.name": "gateways"})
    assert reaches([*policies_of(BY_HAND), policy], gateways, by_hand(), GATEWAY)


def test_prometheus_reaches_the_metrics_and_asks_no_model():
    policies = [*policies_of(BY_HAND), component("monitoring")]
    prometheus = Pod({"app.kubernetes.io/name": "prometheus"}, "monitoring", {"kubernetes.io/metadata.name": "monitoring"})
    assert reaches(policies, prometheus, by_hand(), METRICS)
    assert not reaches(policies, prometheus, by_hand(), GATEWAY)
    assert not reaches(policies, Pod({}, "monitoring", prometheus.namespace_labels), by_hand(), METRICS)


def test_taking_a_server_by_hand_away_leaves_the_overlays_policies():
    theirs = {policy["metadata"]["name"] for overlay in OVERLAYS for policy in policies_of(overlay)}
    assert not theirs & {policy["metadata"]["name"] for policy in policies_of(BY_HAND)}


@pytest.mark.parametrize("folder", [*OVERLAYS, BY_HAND], ids=lambda path: path.name)
def test_every_policy_names_the_namespace_of_its_servers(folder):
    namespaces = {document["metadata"].get("namespace") for document in render(folder) if document["kind"] == "NetworkPolicy"}
    others = {document["metadata"].get("namespace") for document in render(folder) if document["kind"] in ("Role", "Service")}
    assert namespaces == others
    assert None not in namespaces
