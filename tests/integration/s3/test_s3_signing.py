"""A store on S3 to which others can write: with a key, only what was signed with it counts; and no other machine's copies."""

import json
from pathlib import Path

import pytest

from globe import storage
from globe.errors import GlobeError, InputError
from globe.evaluation.promote import promote, read_promoted, sign_promoted
from globe.models.checkpoints import Checkpoint, read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, load_result, run_stage
from globe.signing import KEY_VARIABLE, Unsigned

from .tools import call, making

SIZE = 100_000


@pytest.fixture(autouse=True)
def _key(monkeypatch, scratch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 4)


def record_key(bucket) -> str:
    (key,) = [name for name in bucket.names() if name.endswith("result.json")]
    return key


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.pop("signature"),
        lambda record: record["outcome"].update(figure="evil"),
        lambda record: record["stored"].update(uri="s3://evil/store"),
        lambda record: record["stored"]["files"].clear(),
    ],
)
def test_a_changed_record_is_no_result_and_the_work_is_done_anew(bucket, another_machine, edit):
    first = call(bucket, making(SIZE))
    key, weights = record_key(bucket), storage.have(first.folder / "model.safetensors").read_bytes()
    another_machine()
    assert call(bucket, making(SIZE)).reused
    record = json.loads(bucket.read(key))
    edit(record)
    bucket.write(key, json.dumps(record))
    another_machine()
    with pytest.raises(Unsigned, match=r"result\.json"):
        load_result(first.folder)
    with pytest.raises(GlobeError):
        storage.have(first.folder / "model.safetensors")
    mark: list[int] = []
    again = call(bucket, making(SIZE, mark))
    assert (again.reused, mark, again.outcome.figure) == (False, [1], "made")
    another_machine()
    assert call(bucket, making(SIZE)).reused
    assert storage.have(again.folder / "model.safetensors").read_bytes() == weights


def test_a_signed_record_copied_to_another_keys_prefix_is_no_result(bucket, another_machine):
    one = call(bucket, making(SIZE))
    prefix = one.folder.relative_to(one.folder.parents[1]).as_posix()
    other = call(bucket, making(SIZE + 1), settings={"steps": 2})
    theirs = other.folder.relative_to(other.folder.parents[1]).as_posix()
    for name in bucket.names(f"store/{prefix}/"):
        bucket.write(name.replace(prefix, theirs), bucket.read(name))
    another_machine()
    again = call(bucket, making(SIZE + 1), settings={"steps": 2})
    assert not again.reused
    assert storage.have(again.folder / "model.safetensors").stat().st_size == SIZE + 1


def test_overwritten_weights_in_the_bucket_are_not_promoted_and_a_changed_promotion_is_not_believed(bucket, another_machine):
    def work(folder: Path, reporter: Reporter) -> Outcome:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
        publish_checkpoint(folder, base_model="b", recipe="r", parent="", step=7)
        return Outcome("made", {"checkpoint": str(folder)})

    def evaluated(policy: Checkpoint) -> StageResult:
        inputs = {"test": "t", "policy": policy.digest}
        return run_stage("evaluation", store=store, inputs=inputs, settings={}, code=(), work=lambda folder, r: Outcome("done"))

    store = storage.open_store(bucket.uri("store"))
    policy = read_checkpoint(call(bucket, work).outcome.path("checkpoint"))
    promote(policy=policy, evaluation=evaluated(policy), store=store)
    another_machine()
    store = storage.open_store(bucket.uri("store"))
    assert read_promoted(store).digest == policy.digest
    kept = bucket.read("store/promoted.json")
    bucket.write("store/promoted.json", json.dumps(json.loads(kept) | {"digest": "f" * 64}))
    with pytest.raises(InputError, match=r"was changed, or signed with another key.*globe sign s3://"):
        read_promoted(store)
    bucket.write("store/promoted.json", "")
    with pytest.raises(InputError, match="damaged"):
        read_promoted(store)
    content = json.loads(kept)
    del content["signature"]
    bucket.write("store/promoted.json", json.dumps(content))
    assert sign_promoted(store).digest == read_promoted(store).digest == policy.digest
    assert bucket.read("store/promoted.json") == kept
    with pytest.raises(GlobeError, match="not what the manifest names"):
        promote(policy=Checkpoint(policy.uri, "", "b", "r", "", 7, {"model.safetensors": "f" * 64}), evaluation=evaluated(
            Checkpoint(policy.uri, "", "b", "r", "", 7, {"model.safetensors": "f" * 64})), store=store)  # fmt: skip
