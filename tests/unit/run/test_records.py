import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from globe.errors import GlobeError
from globe.run.records import SERVER, StageRecord, folder_of, read_records, write_record

SFT = StageRecord(
    run="run-1",
    stage="sft",
    state="succeeded",
    started="2026-11-03T10:00:00.250000+00:00",
    seconds=93.5,
    attempts=2,
    gpus=8,
    figure="30 steps, loss 1.2",
)
GATE = StageRecord("run-1", "gate", "rejected", "2026-11-03T09:30:00.000000+00:00", 2.0, error="worse in Kenya")


def test_records_come_back_as_they_were_written_by_the_time_of_their_start(tmp_path):
    for record in (SFT, GATE):
        write_record(str(tmp_path), record)
    assert read_records(str(tmp_path), "run-1") == [GATE, SFT]


def test_the_order_is_that_of_time_whatever_zone_a_record_names(tmp_path):
    earlier = replace(SFT, stage="grpo", started="2026-11-03T11:00:00+02:00")  # 09:00 UTC
    for record in (GATE, SFT, earlier):
        write_record(str(tmp_path), record)
    assert [record.stage for record in read_records(str(tmp_path), "run-1")] == ["grpo", "gate", "sft"]


def test_a_run_reads_its_own_records_alone(tmp_path):
    for run in ("run-1", "run-10", "run-2"):
        write_record(str(tmp_path), replace(SFT, run=run))
    assert [record.run for record in read_records(str(tmp_path), "run-1")] == ["run-1"]
    assert read_records(str(tmp_path), "run") == []


def test_a_store_without_records_has_none(tmp_path):
    assert read_records(str(tmp_path / "nothing"), "run-1") == []


def test_stages_that_started_in_the_same_second_have_files_of_their_own(tmp_path):
    moments = [f"2026-11-03T10:00:00.{part:06d}+00:00" for part in (1, 2, 3)]
    for moment in moments:
        write_record(str(tmp_path), replace(SFT, stage="annotate", started=moment))
    assert [record.started for record in read_records(str(tmp_path), "run-1")] == moments


def test_a_record_written_again_replaces_itself_and_leaves_nothing_else(tmp_path):
    write_record(str(tmp_path), SFT)
    write_record(str(tmp_path), SFT)
    assert [path.name for path in (tmp_path / "runs" / "run-1").iterdir()] == ["sft-2026-11-03T100000.250000Z.json"]


@pytest.mark.parametrize("run", ["../../outside", "a/b", "run 1\n"])
def test_no_name_leads_out_of_the_runs_folder(tmp_path, run):
    record = replace(SFT, run=run, stage=f"{SERVER}grpo/../../x")
    write_record(str(tmp_path), record)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path.parents[2] == tmp_path
    assert path.parents[1].name == "runs"
    assert read_records(str(tmp_path), run) == [record]


@pytest.mark.parametrize("run", ["", "..", " "])
def test_a_run_without_an_id_is_refused_and_nothing_is_written(tmp_path, run):
    with pytest.raises(GlobeError, match="run's id"):
        write_record(str(tmp_path), replace(SFT, run=run))
    assert list(tmp_path.iterdir()) == []


def damaged():
    whole = json.dumps(SFT.__dict__)
    yield "empty", ""
    yield "cut short", whole[:40]
    yield "not an object", "[1]"
    yield "a state that there is not", whole.replace("succeeded", "fine")
    yield "no time", whole.replace("2026-11-03T", "")
    yield "no zone", whole.replace("+00:00", "")
    yield "a time before all times", whole.replace("2026-11-03T10:00:00.250000+00:00", "0001-01-01T00:00:00+14:00")
    yield "no number of seconds", whole.replace("93.5", "NaN")
    yield "an endless stage", whole.replace("93.5", "1e300")
    yield "less than no GPUs", whole.replace('"gpus": 8', '"gpus": -8')
    yield "a field is missing", json.dumps({key: value for key, value in SFT.__dict__.items() if key != "stage"})


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in damaged()])
def test_a_damaged_record_is_skipped_with_a_note_and_the_others_count(tmp_path, text):
    write_record(str(tmp_path), GATE)
    (tmp_path / "runs" / "run-1" / "sft.json").write_text(text)
    notes = []
    assert read_records(str(tmp_path), "run-1", notes.append) == [GATE]
    assert notes == [f"{folder_of(str(tmp_path), 'run-1')}/sft.json: not the record of a stage; skipped"]


def test_a_later_versions_extra_field_does_no_harm(tmp_path):
    write_record(str(tmp_path), GATE)
    (path,) = (tmp_path / "runs" / "run-1").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"node": "n1"}))
    assert read_records(str(tmp_path), "run-1") == [GATE]


def test_writers_at_once_never_show_a_reader_half_a_record(tmp_path):
    code = (
        "import sys; from dataclasses import replace; from globe.run.records import *\n"
        "base = StageRecord('run-1', sys.argv[2], 'failed', '2026-11-03T10:00:00+00:00', 1.0, error='x' * 50_000)\n"
        "for n in range(60): write_record(sys.argv[1], replace(base, attempts=n + 1))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path, stage], env=os.environ) for stage in ("a", "b")]
    notes, seen = [], []
    while any(writer.poll() is None for writer in writers):
        seen += read_records(str(tmp_path), "run-1", notes.append)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert notes == []
    assert {len(record.error) for record in seen} <= {50_000}
    assert [record.attempts for record in read_records(str(tmp_path), "run-1")] == [60, 60]
