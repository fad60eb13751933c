"""On how many nodes a stage trains, by the cluster's settings."""

import pytest

from globe.errors import InputError
from globe.run.cluster import Cluster
from globe.run.training_nodes import training_nodes

RUN = {"gpus": 8, "nodes": {"zone": "a"}, "tolerations": [{"operator": "Exists"}], "run": "run-1"}
STORE = "/mnt/globe/store"


def nodes(store: str = STORE, stage: str = "grpo", **settings: object):
    return training_nodes(stage, Cluster(train_image="train:1", **settings), store=store, **RUN)


def test_a_stage_trains_in_its_own_pod_unless_the_profile_says_how_many_nodes():
    assert training_nodes("grpo", None, store=STORE, **RUN) is None
    assert nodes() is None
    assert nodes(training_nodes={"grpo": 1}) is None
    assert nodes(stage="sft", training_nodes={"grpo": 2}) is None


def test_each_node_gets_the_stages_size_and_gpus_and_the_job_the_runs_labels():
    several = nodes(training_nodes={"grpo": 2}, queue="globe", sizes={"grpo": {"memory": "900Gi"}})
    assert (several.count, several.gpus, several.all_gpus, several.image) == (2, 8, 16, "train:1")
    assert several.resources == {"cpu": "64", "memory": "900Gi", "nvidia.com/gpu": "8"}
    assert several.labels["globe.dev/run"] == "run-1"
    assert several.labels["kueue.x-k8s.io/queue-name"] == "globe"
    assert (several.node_selector, several.tolerations) == ({"zone": "a"}, [{"operator": "Exists"}])
    assert (several.claim, several.mount_path) == ("globe-store", "/mnt/globe")


@pytest.mark.parametrize(("store", "settings"), [("s3://bucket/store", {}), (STORE, {"claim": None})])
def test_nodes_that_could_not_see_the_store_are_refused(store, settings):
    with pytest.raises(InputError, match=r"training_nodes: grpo: several nodes need a claim that they share"):
        nodes(store, training_nodes={"grpo": 2}, **settings)
