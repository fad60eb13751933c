"""Cluster settings: one model from the profile to the server's pod, wrong values refused by name."""

import json

import pytest

from globe.errors import InputError
from globe.run.cluster import Cluster, Secret, Size, amount, read_cluster
from globe.run.stages import STAGES

TOLD = ("GLOBE_TEACHER_API_KEY", "GLOBE_API_KEY")
OTHER = Cluster(
    namespace="",
    claim="",
    secrets=[
        Secret(name="mine", keys=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
        Secret(name="places", keys=["AWS_REGION"]),
    ],
    image_pull_secrets=["pull"],
    sizes={"sft": Size(cpu="500m", retries=2)},
    ttl_s=0,
    server_schedule_timeout_s=0.5,
)


def in_protobuf(value):
    """A value as a compiled pipeline hands it on: all numbers are floats."""
    if isinstance(value, dict):
        return {key: in_protobuf(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_protobuf(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("cluster", [Cluster(), OTHER])
def test_stages_read_back_all_that_the_profile_says_and_the_images(cluster):
    told = in_protobuf(json.loads(json.dumps(cluster.for_stages("globe-serve:1", "globe-evaluate:1"))))
    images = {"server_image": "globe-serve:1", "fetch_image": "globe-evaluate:1"}
    assert read_cluster(told) == cluster.model_copy(update=images)


def test_no_settings_are_a_laptop():
    assert read_cluster({}) is None


def test_a_claim_that_is_null_is_none():
    assert Cluster(claim=None) == Cluster(claim="")
    assert Cluster().claim == "globe-store"


def test_a_variable_leads_to_the_secret_that_holds_it():
    filled = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_REGION": "places"}
    assert OTHER.secret_of("sft") == OTHER.secret_of("serving") == filled
    assert set(Cluster().secret_of("validate").values()) == {"globe-s3", "globe-teachers"}
    assert set(Cluster().secret_of("sft").values()) == {"globe-s3"}


def test_a_secret_for_some_stages_reaches_no_other_pod_and_no_server():
    cluster = Cluster(secrets=[Secret(name="all", keys=["A"]), Secret(name="some", keys=["B"], stages=["sft", "gate"])])
    got = {stage: list(cluster.secrets_of(stage)) for stage in ("sft", "gate", "grpo")}
    assert got == {"sft": ["all", "some"], "gate": ["all", "some"], "grpo": ["all"]}
    assert cluster.secret_of("serving") == {"A": "all"}


def test_the_webhooks_address_is_for_the_last_task_alone():
    named = {stage: set(Cluster().secrets_of(stage)) for stage in ("teardown", "sft")}
    assert named["teardown"] - named["sft"] == {"globe-webhook"}
    assert not named["sft"] - named["teardown"]


def test_the_teachers_key_is_for_those_who_ask_them_and_a_hosted_servers_for_the_evaluation():
    holders = {key: {stage for stage in STAGES if key in Cluster().secret_of(stage)} for key in TOLD}
    assert holders == {
        "GLOBE_TEACHER_API_KEY": {"validate", "annotate", "curation"},
        "GLOBE_API_KEY": {"validate", "evaluation"},
    }


def test_the_key_for_signing_is_every_stages_and_without_a_name_nobodys():
    assert all(Cluster(signing_secret="ours").secret_of(stage)["GLOBE_SIGNING_KEY"] == "ours" for stage in STAGES)
    assert not any("GLOBE_SIGNING_KEY" in Cluster().secret_of(stage) for stage in STAGES)
    assert Cluster(signing_secret="ours").signing_variables() == {"GLOBE_SIGNED": "ours"}
    assert Cluster(signing_secret=None).signing_variables() == Cluster().signing_variables() == {}


BOTH = Secret(name="globe-s3", keys=["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])


@pytest.mark.parametrize(
    ("secrets", "name"),
    [
        ([BOTH], "globe-s3"),
        ([BOTH, Secret(name="other", keys=["X"])], "globe-s3"),
        ([], ""),
        ([Secret(name="other", keys=["X"])], ""),
        ([BOTH, Secret(name="place", keys=["AWS_REGION"])], ""),
        ([BOTH, Secret(name="globe-s3", keys=["X"], stages=["sft"])], ""),
        ([BOTH.model_copy(update={"stages": ["source"]})], ""),
        ([BOTH.model_copy(update={"keys": [*BOTH.keys, "X"]})], ""),
    ],
)
def test_only_a_secret_that_is_about_s3_alone_can_be_left_out_where_nothing_is_there(secrets, name):
    assert Cluster(secrets=secrets).s3_secret() == name


def test_a_secret_that_is_named_twice_is_there_once_with_the_keys_of_both():
    again = [Secret(name="one", keys=["A", "B"]), Secret(name="one", keys=["B", "C"], stages=["sft"])]
    assert Cluster(secrets=again).secrets_of("sft") == {"one": ["A", "B", "C"]}
    assert Cluster(secrets=again).secrets_of("gate") == {"one": ["A", "B"]}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"gpu_hour_price": float("inf")}, "gpu_hour_price"),
        ({"images": "x"}, "images"),
        ({"namespace": "Globe"}, "namespace"),
        ({"claim": "no name"}, "claim"),
        ({"claim": "dotted.name"}, "claim"),
        ({"mount_path": "mnt"}, "mount_path"),
        ({"server_memory": "much"}, "server_memory"),
        ({"server_image_pull_policy": "Sometimes"}, "server_image_pull_policy"),
        ({"server_schedule_timeout_s": 0}, "server_schedule_timeout_s"),
        ({"secrets": [{"name": "globe-s3"}]}, "secrets.0.keys"),
        ({"secrets": [{"name": "globe-s3", "keys": []}]}, "secrets.0.keys"),
        ({"sizes": {"sft": {"memory": "800 GB"}}}, "sizes.sft.memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_cluster_setting_is_refused_by_name(settings, field):
    with pytest.raises(InputError) as caught:
        read_cluster(settings)
    assert str(caught.value).startswith(f"cluster settings: {field}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("quantity", "is_"),
    [("500m", 0.5), ("8", 8), ("1.5k", 1500), ("2G", 2e9), ("64Gi", 64 * 2**30), ("1Ti", 2**40)],
)
def test_a_quantity_is_an_amount(quantity, is_):
    assert amount(quantity) == is_
