"""A run's records in a bucket: found by any machine, written whole, and never worth failing a stage for."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from globe import storage
from globe.errors import GlobeError
from globe.run.records import StageRecord, read_records, write_record

SFT = StageRecord("run-1", "sft", "succeeded", "2026-11-03T10:00:00+00:00", 93.5, 2, 8, figure="30 steps")
GATE = StageRecord("run-1", "gate", "succeeded", "2026-11-03T12:00:00+00:00", 2.0)


def test_records_are_found_by_another_machine_by_time_and_the_runs_alone(bucket, another_machine):
    store = bucket.uri("team/store")
    for record in (GATE, SFT, replace(SFT, run="run-10"), replace(SFT, run="run")):
        write_record(store, record)
    another_machine()
    assert read_records(store, "run-1") == [SFT, GATE]
    assert read_records(store, "run-2") == []


def test_a_store_given_as_its_mirror_is_the_same_store(bucket):
    mirror = str(storage.open_store(bucket.uri("team/store")))
    write_record(mirror, SFT)
    assert read_records(bucket.uri("team/store"), "run-1") == [SFT]
    assert read_records(mirror, "run-1") == [SFT]
    assert bucket.names("team/store/runs/") == ["team/store/runs/run-1/sft-2026-11-03T100000.000000Z.json"]


def test_a_damaged_object_is_skipped_with_a_note(bucket):
    write_record(bucket.uri("store"), SFT)
    bucket.write("store/runs/run-1/gate.json", json.dumps(asdict(GATE))[:30])
    notes = []
    assert read_records(bucket.uri("store"), "run-1", notes.append) == [SFT]
    assert notes == [f"{bucket.uri('store')}/runs/run-1/gate.json: not the record of a stage; skipped"]


def test_no_bucket_is_told_in_one_line(bucket):
    with pytest.raises(GlobeError, match="s3://no-such-bucket-here"):
        write_record("s3://no-such-bucket-here/store", SFT)


@pytest.mark.parametrize("reachable", [True, False])
def test_a_supervised_stages_end_does_not_depend_on_the_bucket(bucket, monkeypatch, reachable):
    if not reachable:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "0.5")
    told = json.dumps({"inputs": {"parameterValues": {"store": bucket.uri("store")}}})
    command = [sys.executable, "-m", "globe.run.supervise", "--stage", "sft", "--", "true", "--executor_input", told]
    done = subprocess.run(command, env=os.environ | {"GLOBE_RUN_ID": "run-1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("cannot be written" in done.stderr) is not reachable
    if reachable:
        (record,) = read_records(bucket.uri("store"), "run-1")
        assert (record.stage, record.state) == ("sft", "succeeded")
