"""What is released from S3: the same whether a run or somebody by hand names it, and another where other weights lie there."""

from pathlib import Path

import pytest

from globe.errors import InputError
from globe.evaluation.released import opened, planned
from globe.models.checkpoints import read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.cluster import Cluster, Place
from globe.run.events import Reporter
from globe.run.stage import Outcome
from globe.serving.recipe import ServingRecipe

from .tools import call

IMAGES = {"server_image": f"serve@sha256:{'0' * 64}", "fetch_image": f"evaluate@sha256:{'0' * 64}"}
CLUSTER = Cluster.model_validate({**IMAGES, "release": {"name": "where"}})


def training(weights: bytes):
    """A stage that makes a checkpoint."""

    def work(folder: Path, reporter: Reporter) -> Outcome:
        model = folder / "checkpoint"
        model.mkdir()
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(weights)
        publish_checkpoint(model, base_model="b", recipe="r", parent="p", step=3)
        return Outcome("made", {"checkpoint": str(model)})

    return work


def release(checkpoint):
    return planned(checkpoint, ServingRecipe(), Place(cluster=CLUSTER), lambda text: None)


def nothing_to_tell(text: str) -> None:
    raise AssertionError(text)


def test_a_runs_checkpoint_and_its_address_make_the_same_release_which_tells_the_checkpoints_digest(bucket, another_machine):
    made = call(bucket, training(b"weights"))
    policy = read_checkpoint(made.folder / "checkpoint")
    address = bucket.uri(next(name for name in bucket.names() if name.endswith("config.json")).removesuffix("/config.json"))
    by_run = release(policy)
    another_machine()
    by_hand = release(opened(address, nothing_to_tell))
    assert by_hand == by_run
    assert by_hand.deployment["metadata"]["annotations"] == {"globe.dev/checkpoint": address, "globe.dev/digest": policy.digest}


def test_other_weights_at_the_same_address_are_another_release_and_the_same_ones_are_not(bucket, another_machine, tmp_path):
    versions = []
    for number, weights in enumerate((b"first", b"first", b"second")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
        publish_checkpoint(folder, base_model="b", recipe="r", parent="p", step=3)
        for file in folder.iterdir():
            bucket.write(f"models/ours/{file.name}", file.read_bytes())
        versions.append(release(opened(bucket.uri("models/ours"), nothing_to_tell)).version)
    assert versions[0] == versions[1] != versions[2]


def test_what_cannot_be_told_apart_is_told_and_what_is_not_there_is_refused(bucket, another_machine, monkeypatch):
    told: list[str] = []
    bucket.write("models/bare/config.json", "{}")
    assert opened(bucket.uri("models/bare"), told.append).digest == opened("/mnt/globe/m", nothing_to_tell).digest
    with pytest.raises(InputError, match="nothing there; check the address"):
        opened(bucket.uri("models/none"), nothing_to_tell)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert opened(bucket.uri("models/bare"), told.append).uri == bucket.uri("models/bare")
    assert len(told) == 2
    assert all("look like no change" in text for text in told)
    assert "no credentials" in told[1]
