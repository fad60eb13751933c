"""manifests/queue: Kueue can admit every pod with GPUs that the pipelines make by default.

Kueue's rule: of a pod's node selector, those keys count that some flavor of the resource group is labelled with; the pod fits
a flavor whose labels have the same values. A pod that asks for a resource which no group covers is never admitted.
"""

import re

import pytest
import yaml
from rendered import MANIFESTS, OVERLAYS, render

from globe.run.cluster import Size
from globe.run.stages import GPU_STAGES, STAGES
from globe.serving.manifest import base
from pipelines.catalog import PIPELINES
from pipelines.placement import size_of
from pipelines.profile import PROFILES, arguments_of, load_profile

QUEUE = MANIFESTS / "queue"
GPU = "nvidia.com/gpu"
UNITS = {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
ON_CLUSTERS = [path.stem for path in sorted(PROFILES.glob("*.yaml")) if load_profile(path.stem).cluster]
"""Profiles whose pods may be queued, once they name the queue."""


def documents(name):
    return list(yaml.safe_load_all((QUEUE / name).read_text()))


def groups():
    (queue,) = documents("cluster-queue.yaml")
    return queue["spec"]["resourceGroups"]


def group_of(resource):
    (found,) = [group for group in groups() if resource in group["coveredResources"]]
    return found


def flavors_of(group):
    made = {flavor["metadata"]["name"]: flavor.get("spec", {}) for flavor in documents("flavors.yaml")}
    return {flavor["name"]: made[flavor["name"]] for flavor in group["flavors"]}


def admitting(selector):
    """Names of the flavors with GPUs that a pod with this node selector fits."""
    flavors = flavors_of(group_of(GPU))
    counted = {key for flavor in flavors.values() for key in flavor.get("nodeLabels", {})} & selector.keys()
    return [
        name for name, flavor in flavors.items() if all(flavor.get("nodeLabels", {}).get(key) == selector[key] for key in counted)
    ]


def quota(resource, flavor):
    (found,) = [
        float(number(quota["nominalQuota"]))
        for entry in group_of(resource)["flavors"]
        for quota in entry["resources"]
        if entry["name"] == flavor and quota["name"] == resource
    ]
    return found


def number(quantity):
    value, unit = re.fullmatch(r"([\d.]+)(m|[MGT]i)?", str(quantity)).groups()
    return float(value) * UNITS[unit or ""]


def asking():
    """What stages with GPUs ask for by default: stage, node selector, GPUs, tolerations, by profile and pipeline."""
    for profile in ON_CLUSTERS:
        for name, pipeline in PIPELINES.items():
            arguments = arguments_of(pipeline, load_profile(profile), {})
            for stage in GPU_STAGES:
                if f"{stage}_gpus" in arguments:
                    selector = arguments["node_selectors"].get(stage, {})
                    yield pytest.param(
                        stage, selector, arguments[f"{stage}_gpus"], arguments["tolerations"], id=f"{profile}/{name}/{stage}"
                    )


@pytest.mark.parametrize(("stage", "selector", "gpus", "tolerations"), list(asking()))
def test_a_flavor_admits_what_a_stage_asks_for_by_default(stage, selector, gpus, tolerations):
    fitting = admitting(selector)
    assert fitting, f"{stage}: no flavor has {selector}"
    for flavor in fitting:
        assert quota(GPU, flavor) >= gpus
        assert flavors_of(group_of(GPU))[flavor]["tolerations"] == tolerations


def test_there_is_a_stage_for_each_flavor_and_a_wrong_label_is_not_admitted():
    selectors = [case.values[1] for case in asking()]
    assert {name for selector in selectors if selector for name in admitting(selector)} == set(flavors_of(group_of(GPU)))
    assert admitting({}) == list(flavors_of(group_of(GPU)))
    assert admitting({"nvidia.com/gpu.product": "none of them"}) == []


@pytest.mark.parametrize("profile", ON_CLUSTERS)
def test_every_resource_of_a_pod_is_covered_and_fits_the_quota(profile):
    cluster = load_profile(profile).cluster
    server = Size(cpu=cluster.server_cpu, memory=cluster.server_memory)
    (cpu_flavor,) = flavors_of(group_of("cpu"))
    for size in (*(size_of(cluster, STAGES[stage]) for stage in GPU_STAGES), server):
        assert quota("cpu", cpu_flavor) >= number(size.cpu)
        assert quota("memory", cpu_flavor) >= number(size.memory)
    assert cluster.gpu_resource in group_of(GPU)["coveredResources"]
    covered = {resource for group in groups() for resource in group["coveredResources"]}
    resources = base()[0]["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert {*resources["requests"], *resources["limits"]} <= covered


def test_an_ordinary_pod_is_held_to_no_kind_of_node():
    assert flavors_of(group_of("cpu")) == {"globe-cpu": {}}


def test_each_overlays_local_queue_leads_to_the_cluster_queue_whose_flavors_are_made():
    (queue,) = documents("cluster-queue.yaml")
    for overlay in OVERLAYS:
        (local,) = render(overlay / "queue")
        assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]
    assert {group["metadata"]["name"] for group in documents("flavors.yaml")} == {
        flavor["name"] for group in groups() for flavor in group["flavors"]
    }
    for group in groups():
        for flavor in group["flavors"]:
            assert [quota["name"] for quota in flavor["resources"]] == group["coveredResources"]
