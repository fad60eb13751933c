"""A store on S3: what one machine has finished, any other finds, whole and checked."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from globe import storage
from globe.errors import GlobeError, InputError
from globe.evaluation.promote import find_baseline, promote, read_promoted
from globe.evaluation.radius_file import read_radius, write_radius
from globe.figures.radius import Group, Radius
from globe.models.checkpoints import read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.artifacts import copy_manifest
from globe.run.events import Reporter
from globe.run.preflight import Request, check_places
from globe.run.stage import Outcome, find_finished, load_result, run_stage
from globe.storage.uris import parse

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB


def call(bucket, work, **changes):
    question = {
        "inputs": {"data": "d1"},
        "settings": {"steps": 3},
        "code": ("globe.geo.normalize",),
        "scratch": ("data",),
    } | changes
    return run_stage("toy", store=storage.open_store(bucket.uri("team/store")), work=work, **question)


def forbidden(folder: Path, reporter: Reporter) -> Outcome:
    raise AssertionError("work that is finished was done again")


def making(weights: bytes = WEIGHTS):
    def work(folder: Path, reporter: Reporter) -> Outcome:
        model = folder / "checkpoint"
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(weights)
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "picture.jpg").write_bytes(b"made again on each machine")
        publish_checkpoint(model, base_model="b", recipe="r", parent="p", step=3)
        return Outcome("made", {"checkpoint": str(model)}, {"n": 1})

    return work


def test_a_finished_stage_is_found_by_another_machine(bucket, another_machine):
    first = call(bucket, making())
    another_machine()
    second = call(bucket, forbidden)
    assert (first.reused, second.reused) == (False, True)
    assert second.outcome == first.outcome
    assert second.folder == first.folder


def test_a_radius_added_to_a_finished_checkpoint_is_found_by_another_machine_and_does_no_harm(bucket, another_machine):
    manifest = call(bucket, making()).folder / "checkpoint"
    group = Group(level="any", up_to=1.0, n=50, radius_km=320.0)
    radius = Radius(level_percent=90.0, by="agreement", groups=[group], measured={})
    place = write_radius(radius, manifest)
    assert place.startswith(bucket.uri("team/store/toy"))
    another_machine()
    checkpoint = read_checkpoint(Path(call(bucket, forbidden).outcome.outputs["checkpoint"]))
    assert read_radius(checkpoint) == radius
    assert (checkpoint.path / "model.safetensors").read_bytes() == WEIGHTS


def test_weights_are_pulled_when_they_are_read_and_scratch_never_leaves(bucket, another_machine):
    result = call(bucket, making())
    another_machine()
    checkpoint = read_checkpoint(Path(call(bucket, forbidden).outcome.outputs["checkpoint"]))
    weights = result.folder / "checkpoint" / "model.safetensors"
    assert (result.folder / "checkpoint" / "config.json").is_file()
    assert not weights.exists()
    assert (checkpoint.path / "model.safetensors").read_bytes() == WEIGHTS
    assert not [key for key in bucket.names() if "picture" in key]


def test_a_manifest_alone_leads_a_third_machine_to_the_weights(bucket, another_machine, tmp_path):
    manifest = tmp_path / "artifact.json"
    copy_manifest(str(call(bucket, making()).folder / "checkpoint" / "globe-checkpoint.json"), str(manifest))
    another_machine()
    assert (read_checkpoint(manifest).path / "model.safetensors").read_bytes() == WEIGHTS


def test_only_the_files_that_are_read_travel(bucket, another_machine, line):
    result = call(bucket, making())
    another_machine()
    line.down_bytes = 0
    assert find_finished(result.folder.parent.parent, "toy", result.key)
    assert line.down_bytes < len(WEIGHTS) / 10


def test_files_keep_their_names_below_one_prefix_that_others_can_read(bucket):
    result = call(bucket, making())
    prefix = storage.stored_at(result.folder / "checkpoint")
    assert prefix.startswith(bucket.uri("team/store/toy/"))
    key = prefix.removeprefix(bucket.uri(""))
    assert bucket.read(f"{key}/model.safetensors") == WEIGHTS
    assert storage.exists(prefix + "/config.json")


def test_a_stage_marked_to_be_redone_is_done_once_more_and_its_old_result_removed(bucket, monkeypatch, another_machine):
    monkeypatch.setenv("GLOBE_RUN_ID", "run-1")
    call(bucket, making(b"old" * 100))
    monkeypatch.setenv("GLOBE_RUN_ID", "run-2")
    monkeypatch.setenv("GLOBE_REDO", "toy")
    another_machine()
    assert not call(bucket, making(b"new" * 100)).reused
    another_machine()
    assert call(bucket, forbidden).reused
    kept = [bucket.read(key) for key in bucket.names() if key.endswith(".safetensors")]
    assert kept == [b"new" * 100]


def test_a_wiped_bucket_is_believed_and_not_the_mirror(bucket):
    call(bucket, making())
    for key in bucket.names():
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    assert not call(bucket, making()).reused


def test_a_redone_result_reaches_a_reader_that_knew_the_old_one(bucket, another_machine, monkeypatch, scratch, tmp_path):
    monkeypatch.setenv("GLOBE_RUN_ID", "run-1")
    weights = call(bucket, making(b"old" * 100)).folder / "checkpoint" / "model.safetensors"
    another_machine()
    checkpoint = read_checkpoint(load_result(weights.parent.parent).folder / "checkpoint")
    reader = tmp_path / "reader"
    scratch.rename(reader)
    monkeypatch.setenv("GLOBE_RUN_ID", "run-2")
    monkeypatch.setenv("GLOBE_REDO", "toy")
    call(bucket, making(b"new" * 100))
    another_machine()
    reader.rename(scratch)
    with pytest.raises(GlobeError, match="not what the manifest names"):
        _ = checkpoint.path
    assert storage.have(weights).read_bytes() == b"new" * 100


@pytest.mark.parametrize("bad", [b"short", WEIGHTS[:-1], WEIGHTS[:-1] + b"?"])
def test_a_damaged_object_is_an_error_that_names_it_and_is_never_used(bucket, another_machine, bad):
    result = call(bucket, making())
    key = next(key for key in bucket.names() if key.endswith("safetensors"))
    bucket.write(key, bad)
    another_machine()
    load_result(result.folder)
    with pytest.raises(GlobeError, match=f"{key}.*promises.*repeat stage toy") as error:
        storage.have(result.folder / "checkpoint")
    assert "\n" not in str(error.value)
    assert not (result.folder / "checkpoint" / "model.safetensors").exists()


def test_a_large_object_that_was_cut_short_is_an_error_too(bucket, another_machine):
    weights = os.urandom(20_000_000)
    result = call(bucket, making(weights))
    key = next(key for key in bucket.names() if key.endswith("safetensors"))
    bucket.write(key, weights[:9_000_000])
    another_machine()
    with pytest.raises(GlobeError, match="repeat stage toy"):
        storage.have(result.folder / "checkpoint")


def test_a_damaged_mirror_is_mended(bucket):
    weights = call(bucket, making()).folder / "checkpoint" / "model.safetensors"
    weights.write_bytes(b"torn")
    assert storage.have(weights).read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "a/../../b", "a\x00b", "a//b", "", "C:\\b"])
def test_a_record_that_names_a_file_outside_is_refused(bucket, another_machine, tmp_path, name):
    result = call(bucket, making())
    key = next(key for key in bucket.names() if key.endswith("result.json"))
    record = json.loads(bucket.read(key))
    record["stored"]["files"][name] = record["stored"]["files"].pop("checkpoint/config.json")
    bucket.write(key, json.dumps(record))
    another_machine()
    with pytest.raises(GlobeError, match=r"result\.json"):
        load_result(result.folder)
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"stored": {"files": 1}}', '{"stored": {"tree": "../../x", "files": {}}}'])
def test_a_damaged_record_is_one_clear_error(bucket, another_machine, record):
    result = call(bucket, making())
    bucket.write(next(key for key in bucket.names() if key.endswith("result.json")), record)
    another_machine()
    with pytest.raises(GlobeError, match="repeat that stage"):
        load_result(result.folder)


def test_a_link_in_the_mirror_does_not_lead_a_pull_out_of_it(bucket, another_machine, tmp_path):
    result = call(bucket, making())
    another_machine()
    outside = tmp_path / "outside"
    outside.mkdir()
    result.folder.mkdir(parents=True)
    (result.folder / "checkpoint").symlink_to(outside)
    with pytest.raises(GlobeError, match="leads out"):
        load_result(result.folder)
    assert not list(outside.iterdir())


def test_promotion_is_seen_by_another_machine(bucket, another_machine):
    store = storage.open_store(bucket.uri("team/store"))
    assert find_baseline("promoted", store) is None
    policy = read_checkpoint(call(bucket, making()).folder / "checkpoint")
    inputs = {"test": "t", "policy": policy.digest}
    result = run_stage("evaluation", store=store, inputs=inputs, settings={}, code=(), work=lambda folder, _: Outcome("done"))
    promote(policy=policy, evaluation=result, store=store)
    another_machine()
    found = find_baseline("promoted", storage.open_store(bucket.uri("team/store")))
    assert found is not None
    assert found.key == result.key
    promoted = json.loads(bucket.read("team/store/promoted.json"))
    assert bucket.read(promoted["stored_at"].removeprefix(bucket.uri("")) + "/model.safetensors") == WEIGHTS
    assert read_promoted(storage.open_store(bucket.uri("team/store"))).address == promoted["stored_at"]


def test_an_evaluation_is_named_as_the_baseline_by_its_address(bucket, another_machine):
    store = storage.open_store(bucket.uri("team/store"))
    made = run_stage("evaluation", store=store, inputs={}, settings={}, code=(), work=making())
    another_machine()
    address = bucket.uri(f"team/store/evaluation/{made.key}")
    check_places(Request({}, baseline=address))
    found = find_baseline(address, storage.open_store(bucket.uri("other/store")))
    assert (found.key, found.outcome.figures) == (made.key, made.outcome.figures)
    with pytest.raises(InputError, match="no finished evaluation there"):
        find_baseline(address[:-1], store)


def test_a_text_is_written_and_read_at_a_key_known_beforehand(bucket, tmp_path):
    for place in (bucket.uri("runs/7/evaluation.json"), str(tmp_path / "runs" / "7" / "evaluation.json")):
        assert not storage.exists(place)
        storage.write_text(place, "{}")
        storage.write_text(place, '{"größe": 1}')
        assert storage.exists(place)
        assert storage.read_text(place) == '{"größe": 1}'
    assert bucket.names() == ["runs/7/evaluation.json"]


def _racer(uri: str, scratch: str, answers, barrier) -> None:
    os.environ["GLOBE_SCRATCH"] = scratch

    def work(folder: Path, reporter: Reporter) -> Outcome:
        mine = os.urandom(300_000)
        for number in range(12):
            (folder / f"{number}.bin").write_bytes(mine)
        barrier.wait()  # all have finished their work, and push at once
        return Outcome("made", {"mark": mine[:8].hex()})

    result = run_stage("toy", store=storage.open_store(uri), inputs={}, settings={}, code=("globe.geo.normalize",), work=work)
    storage.have(result.folder)
    contents = {(result.folder / f"{number}.bin").read_bytes()[:8].hex() for number in range(12)}
    answers.put((result.outcome.outputs["mark"], contents))


def test_machines_that_push_the_same_stage_at_once_agree_on_one_of_their_results(bucket, tmp_path):
    context = multiprocessing.get_context("fork")
    answers, barrier = context.Queue(), context.Barrier(4)
    racers = [
        context.Process(target=_racer, args=(bucket.uri("race"), str(tmp_path / str(number)), answers, barrier))
        for number in range(4)
    ]
    for racer in racers:
        racer.start()
    told = [answers.get(timeout=300) for _ in racers]
    for racer in racers:
        racer.join()
    marks = {mark for mark, _ in told}
    assert len(marks) == 1
    assert all(contents == marks for _, contents in told)
    assert len({key.split("/")[3] for key in bucket.names() if key.endswith(".bin")}) == 1  # the others' files are gone


def test_a_result_that_appears_while_this_machine_works_is_not_pulled_over_its_work_and_counts_in_the_end(
    bucket, another_machine
):
    call(bucket, making(b"theirs" * 100))
    (record,) = [key for key in bucket.names() if key.endswith("result.json")]
    kept = bucket.read(record)
    bucket.client.delete_object(Bucket=bucket.name, Key=record)
    another_machine()

    def work(folder: Path, reporter: Reporter) -> Outcome:
        outcome = making(b"ours" * 100)(folder, reporter)
        bucket.write(record, kept)
        assert storage.have(folder / "checkpoint" / "model.safetensors").read_bytes() == b"ours" * 100
        return outcome

    result = call(bucket, work)
    assert result.reused
    assert (read_checkpoint(result.folder / "checkpoint").path / "model.safetensors").read_bytes() == b"theirs" * 100


def test_many_small_files_travel_both_ways(bucket, another_machine):
    def work(folder: Path, reporter: Reporter) -> Outcome:
        for number in range(200):
            (folder / f"{number:04}.txt").write_text(f"file {number}")
        return Outcome("made")

    result = call(bucket, work)
    another_machine()
    assert call(bucket, forbidden).reused
    assert all((result.folder / f"{number:04}.txt").read_text() == f"file {number}" for number in range(200))


def test_a_listing_of_several_pages_is_whole(bucket):
    names = [f"many/{number:04}" for number in range(1001)]  # a page has 1,000
    for name in names:
        bucket.write(name, b"")
    assert sorted(one.uri.key for one in storage.bucket.listing(parse(bucket.uri("many")), storage.Effort())) == names


_LARGE = """
import os, sys
from pathlib import Path
from globe import storage
from globe.run.stage import Outcome, run_stage
def work(folder, reporter):
    with (folder / "model.safetensors").open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1_000_000))
    return Outcome("made")
store = storage.open_store(sys.argv[1])
storage.check_access(sys.argv[1], write=True)  # the client is loaded
peak_mib = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
before = peak_mib()
result = run_stage("toy", store=store, inputs={}, settings={}, code=(), work=work)
storage.have(result.folder)
print(peak_mib() - before)
"""


def test_a_large_file_travels_in_bounded_memory(bucket, another_machine):
    """300 MB each way; parts of 8 MiB, at most 16 at once, and the client's own copies."""
    used_mib = []
    for _ in range(2):
        command = [sys.executable, "-c", _LARGE, bucket.uri("large")]
        used_mib.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        another_machine()
    print(f"300 MB: {used_mib[0]:.0f} MiB more to push, {used_mib[1]:.0f} MiB more to pull")
    assert 0 < max(used_mib) < 200
