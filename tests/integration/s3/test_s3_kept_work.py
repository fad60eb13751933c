"""Unfinished work in a store on S3: what is pushed now and then, and how another machine goes on with it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from globe import storage
from globe.errors import GlobeError
from globe.files import file_sha256
from globe.run.events import Reporter
from globe.run.stage import Outcome, work_so_far
from globe.signing import KEY_VARIABLE
from globe.storage import keeper
from globe.storage.results import StageFolder
from globe.storage.uris import parse

from .tools import call, until


def newest_checkpoint(folder: Path) -> list[Path]:
    whole = [path.parent for path in folder.glob("swift/checkpoint-*/whole.json")]
    return sorted(whole, key=lambda path: int(path.name.split("-")[1]))[-1:]


_TRAINING = """
import json, os, sys, time
from pathlib import Path
from globe import storage
from globe.run.stage import Outcome, run_stage
uri, marks, last_mb, pause_s = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
held, go_on = int(sys.argv[5]), Path(sys.argv[6])

def work(folder, reporter):
    '''A trainer in small: each step depends on the one before; it saves, forgets older saves, and goes on from the newest.'''
    output = folder / "swift"
    whole = [path.parent for path in output.glob("checkpoint-*/whole.json")]
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
    state = json.loads((newest / "whole.json").read_text()) if newest else {"step": 0, "value": 1}
    if newest:
        assert (newest / "model.safetensors").read_bytes() == str(state["value"]).encode() * 1000
    for step in range(state["step"] + 1, 9):
        state = {"step": step, "value": state["value"] * 3 % 1_000_003 + step}
        with marks.open("a") as file:
            file.write(f"{step}\\n")
        target = output / f"checkpoint-{step}"
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.safetensors").write_bytes(str(state["value"]).encode() * 1000)
        (target / "whole.json").write_text(json.dumps(state))
        with (folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(state) + "\\n")
        time.sleep(pause_s)
        while step == held and not go_on.exists():
            time.sleep(0.02)
    (folder / "final.safetensors").write_bytes(str(state["value"]).encode() + b"." * last_mb * 1_000_000)
    return Outcome("trained", {}, {"value": state["value"]})

def saved(folder):
    whole = [path.parent for path in folder.glob("swift/checkpoint-*/whole.json")]
    return sorted(whole, key=lambda path: int(path.name.split("-")[1]))[-1:]

store = storage.open_store(uri)
result = run_stage("toy", store=store, inputs={}, settings={}, code=("globe.geo.normalize",), work=work, saved=saved)
print(json.dumps({"value": result.outcome.figures["value"], "reused": result.reused}))
"""


def expected_value() -> int:
    value = 1
    for step in range(1, 9):
        value = value * 3 % 1_000_003 + step
    return value


class Trainings:
    """Calls of one training stage as processes, and the steps that each of them took."""

    def __init__(self, uri: str, marks: Path) -> None:
        self.uri, self.marks, self.go_on = uri, marks, marks.with_name("go-on")

    def start(self, pause_s: float, last_mb: int = 1, held: int = 0) -> subprocess.Popen[str]:
        """Start one; after step `held` it waits for `let_go`, however long a busy machine takes for what is tried meanwhile."""
        self.marks.write_text("")
        command = [sys.executable, "-c", _TRAINING, self.uri, str(self.marks), str(last_mb), str(pause_s), str(held)]
        command.append(str(self.go_on))
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def let_go(self) -> None:
        self.go_on.touch()

    def steps(self) -> list[int]:
        return [int(line) for line in self.marks.read_text().split()]

    def finish(self) -> dict:
        out, err = self.start(0).communicate(timeout=300)
        assert out, err
        return json.loads(out)


@pytest.fixture
def trainings(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_PUSH_INTERVAL_S", "0.1")
    return Trainings(bucket.uri("store"), tmp_path / "marks")


def pushed_step(bucket) -> int:
    """The step of the checkpoint that the bucket's pointer names; 0 when there is none."""
    pointers = [key for key in bucket.names() if key.endswith("unfinished.json")]
    try:
        trees = json.loads(bucket.read(pointers[0]))["trees"] if pointers else []
    except bucket.client.exceptions.NoSuchKey:  # the stage has ended since the names were listed
        trees = []
    names = [name for tree in trees for name in tree["files"]]
    return max((int(name.split("/")[1].split("-")[1]) for name in names if "checkpoint-" in name), default=0)


@pytest.mark.parametrize("step", [1, 4])
def test_a_trainer_killed_at_any_step_is_taken_up_by_another_machine_from_the_last_push(bucket, trainings, another_machine, step):
    first = trainings.start(pause_s=0.2, held=step + 2)
    until(lambda: pushed_step(bucket) >= step, "a checkpoint is pushed")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept = pushed_step(bucket)
    another_machine()
    assert trainings.finish() == {"value": expected_value(), "reused": False}
    assert trainings.steps()[0] == kept + 1  # nothing of what was pushed is repeated, and the values fit
    another_machine()
    assert trainings.finish() == {"value": expected_value(), "reused": True}
    assert trainings.steps() == []
    assert not [key for key in bucket.names() if "unfinished" in key]


def test_a_push_of_a_checkpoint_killed_halfway_leaves_the_one_before(bucket, trainings, another_machine, line):
    first = trainings.start(pause_s=0.2, held=2)
    until(lambda: pushed_step(bucket) >= 2, "a checkpoint is pushed")
    line.bytes_per_s = 2000  # the next push takes seconds now
    sent = line.up_bytes
    trainings.let_go()
    until(lambda: line.up_bytes > sent + 2000, "the next push is under way")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    line.bytes_per_s = 0
    kept = pushed_step(bucket)
    another_machine()
    assert trainings.finish()["value"] == expected_value()
    assert trainings.steps()[0] == kept + 1


def test_the_last_push_killed_halfway_is_no_result_and_the_work_before_it_is_kept(bucket, trainings, another_machine, line):
    first = trainings.start(pause_s=0.2, last_mb=30, held=6)
    until(lambda: pushed_step(bucket) >= 5, "a checkpoint is pushed")
    line.bytes_per_s, sent = 1_000_000, line.up_bytes
    trainings.let_go()
    until(lambda: line.up_bytes > sent + 8_000_000, "the last push is under way")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    line.bytes_per_s = 0
    assert not [key for key in bucket.names() if key.endswith("result.json")]
    another_machine()
    assert trainings.finish() == {"value": expected_value(), "reused": False}
    assert min(trainings.steps(), default=8) > 5
    uploads = bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
    assert uploads == []  # what the killed one left hidden is gone too


def test_the_last_push_killed_halfway_goes_on_on_the_same_machine_without_the_work(bucket, trainings, line):
    first = trainings.start(pause_s=0.0, last_mb=30)
    line.bytes_per_s = 1_000_000
    until(lambda: line.up_bytes > 8_000_000, "the last push is under way")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    line.bytes_per_s = 0
    assert trainings.finish() == {"value": expected_value(), "reused": False}
    assert trainings.steps() == []


def test_a_pull_of_kept_work_killed_halfway_is_begun_again(bucket, trainings, another_machine, line, scratch):
    first = trainings.start(pause_s=0.2, held=6)
    until(lambda: pushed_step(bucket) >= 4, "a checkpoint is pushed")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept = pushed_step(bucket)
    another_machine()
    line.bytes_per_s = 1000
    second = trainings.start(pause_s=0.2)
    until(lambda: [path for path in scratch.glob("stores/*/.pull/toy/**/*") if path.is_file()], "the pull has begun")
    second.send_signal(signal.SIGKILL)
    second.communicate()
    line.bytes_per_s = 0
    assert trainings.steps() == []
    assert trainings.finish() == {"value": expected_value(), "reused": False}
    assert trainings.steps()[0] == kept + 1


def test_machines_at_the_same_stage_leave_each_others_kept_work_whole(bucket, tmp_path, monkeypatch):
    base = parse(bucket.uri("store/toy/0123456789abcdef"))
    folders = [tmp_path / name / "0123456789abcdef" for name in ("one", "two")]
    so_far = partial(work_so_far, scratch=(), saved=newest_checkpoint)
    one, two = (keeper.Keeper(StageFolder(folder, base), so_far, storage.Effort()) for folder in folders)
    for number, folder in enumerate(folders):
        checkpoint = folder / "swift" / f"checkpoint-{number}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(os.urandom(1000))
        (checkpoint / "whole.json").write_text("{}")
    one.push(storage.Effort())
    two.push(storage.Effort())
    (folders[0] / "log.jsonl").write_text("grown")
    one.push(storage.Effort())  # its checkpoint is there already, if nobody has deleted it
    trees = json.loads(bucket.read("store/toy/0123456789abcdef/unfinished.json"))["trees"]
    kept = {name: bucket.read(f"{tree['uri']}/{name}".removeprefix(bucket.uri(""))) for tree in trees for name in tree["files"]}
    assert kept["log.jsonl"] == b"grown"
    assert kept["swift/checkpoint-0/model.safetensors"] == (folders[0] / "swift/checkpoint-0/model.safetensors").read_bytes()


def test_a_push_sends_only_what_is_not_there_yet(bucket, line, monkeypatch):
    monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "0.5")
    size = 3_000_000

    def work(folder: Path, reporter: Reporter) -> Outcome:
        for name in ("a", "b", "c"):
            (folder / f"{name}.safetensors").write_bytes(name.encode() * (size // 10 if name == "a" else size))
        return Outcome("made")

    line.bytes_per_s = 1_000_000
    ended = threading.Event()

    def cut_when_one_is_there():
        while not ended.is_set() and len([key for key in bucket.names() if key.endswith("safetensors")]) < 1:
            time.sleep(0.02)
        line.cut()

    thread = threading.Thread(target=cut_when_one_is_there)
    thread.start()
    with pytest.raises(GlobeError):
        call(bucket, work)
    ended.set()
    thread.join()
    there = len([key for key in bucket.names() if key.endswith("safetensors")])
    line.bytes_per_s = line.up_bytes = 0
    line.restore()
    call(bucket, work)
    assert there == 1
    assert line.up_bytes < 2 * size + 100_000


def test_a_failed_stage_keeps_what_it_had_for_another_machine(bucket, another_machine):
    def fails(folder: Path, reporter: Reporter) -> Outcome:
        (folder / "replies.jsonl").write_text("asked and answered\n")
        raise RuntimeError("a teacher went away")

    with pytest.raises(RuntimeError):
        call(bucket, fails)
    another_machine()

    def goes_on(folder: Path, reporter: Reporter) -> Outcome:
        return Outcome((folder / "replies.jsonl").read_text())

    assert call(bucket, goes_on).outcome.figure == "asked and answered\n"


def test_newer_work_on_this_machine_is_not_replaced_by_what_was_pushed(bucket):
    def fails(text: str):
        def work(folder: Path, reporter: Reporter) -> Outcome:
            with (folder / "replies.jsonl").open("a") as file:
                file.write(text)
            raise RuntimeError("on purpose")

        return work

    with pytest.raises(RuntimeError):
        call(bucket, fails("pushed "))
    folder = next((storage.open_store(bucket.uri("store")) / "toy").glob("[0-9a-f]*[0-9a-f]"))
    with (folder / "replies.jsonl").open("a") as file:
        file.write("and newer")
    assert (
        call(bucket, lambda folder, reporter: Outcome((folder / "replies.jsonl").read_text())).outcome.figure
        == "pushed and newer"
    )


def test_a_checkpoint_is_sent_once_however_much_the_log_beside_it_grows(bucket, line, monkeypatch):
    monkeypatch.setenv("GLOBE_PUSH_INTERVAL_S", "0.1")
    size = 3_000_000

    def kept() -> dict[str, str]:
        pointers = [key for key in bucket.names() if key.endswith("unfinished.json")]
        trees = json.loads(bucket.read(pointers[0]))["trees"] if pointers else []
        return {name: sha256 for tree in trees for name, (sha256, _) in tree["files"].items()}

    def work(folder: Path, reporter: Reporter) -> Outcome:
        checkpoint = folder / "swift" / "checkpoint-1"
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(os.urandom(size))
        (checkpoint / "whole.json").write_text("{}")
        for number in range(5):
            with (folder / "log.jsonl").open("a") as file:
                file.write(f"{number}\n")
            until(lambda: kept().get("log.jsonl") == file_sha256(folder / "log.jsonl"), "the log is pushed")
        shutil.rmtree(checkpoint)  # as a trainer does that keeps few
        (folder / "log.jsonl").write_text("more")
        until(lambda: kept().get("log.jsonl") == file_sha256(folder / "log.jsonl"), "the log is pushed")
        assert "swift/checkpoint-1/model.safetensors" in kept()
        sent.append(line.up_bytes)
        raise RuntimeError("on purpose")

    sent: list[int] = []
    with pytest.raises(RuntimeError):
        call(bucket, work, saved=newest_checkpoint)
    assert sent[0] < 1.5 * size


@pytest.mark.parametrize("damage", ["pointer", "file"])
def test_damaged_kept_work_is_told_and_the_stage_starts_anew(bucket, another_machine, damage, tmp_path, monkeypatch):
    def fails(folder: Path, reporter: Reporter) -> Outcome:
        (folder / "replies.jsonl").write_text("so far")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        call(bucket, fails)
    key = next(key for key in bucket.names() if key.endswith(".json" if damage == "pointer" else ".jsonl"))
    bucket.write(key, "torn")
    another_machine()
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    result = call(bucket, lambda folder, reporter: Outcome(str((folder / "replies.jsonl").exists())))
    assert result.outcome.figure == "False"
    assert "starting anew" in (tmp_path / "events.jsonl").read_text()


KEY = "0123456789abcdef" * 2


def fails_after_asking(folder: Path, reporter: Reporter) -> Outcome:
    with (folder / "replies.jsonl").open("a") as file:
        file.write("asked and answered\n")
    raise RuntimeError("on purpose")


def goes_on(folder: Path, reporter: Reporter) -> Outcome:
    replies = folder / "replies.jsonl"
    return Outcome(
        replies.read_text() if replies.exists() else "nothing to go on from", {}, {"files": len(list(folder.iterdir()))}
    )


def pointer_of(bucket) -> str:
    return next(key for key in bucket.names() if key.endswith("unfinished.json"))


def plant(bucket, files: dict[str, bytes]) -> None:
    """Make the pointer name further files, as whoever can write to the bucket can."""
    pointer = json.loads(bucket.read(pointer_of(bucket)))
    for tree in pointer["trees"]:
        base = tree["uri"].removeprefix(bucket.uri(""))
        for name, data in files.items():
            bucket.write(f"{base}/{name}", data)
            tree["files"][name] = [hashlib.sha256(data).hexdigest(), len(data)]
    bucket.write(pointer_of(bucket), json.dumps(pointer))


def interrupted(bucket, another_machine, monkeypatch, tmp_path) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        call(bucket, fails_after_asking)
    another_machine()
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))


def test_signed_work_is_taken_up_by_another_machine_with_the_key(bucket, another_machine, monkeypatch, tmp_path):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    interrupted(bucket, another_machine, monkeypatch, tmp_path)
    assert call(bucket, goes_on).outcome.figure == "asked and answered\n"


@pytest.mark.parametrize("how", ["unsigned", "changed", "another-stage", "another-key"])
def test_work_that_this_runs_key_has_not_signed_for_this_stage_is_not_taken_up(
    bucket, another_machine, monkeypatch, tmp_path, how
):
    if how != "unsigned":
        monkeypatch.setenv(KEY_VARIABLE, KEY)
    interrupted(bucket, another_machine, monkeypatch, tmp_path)
    monkeypatch.setenv(KEY_VARIABLE, KEY[::-1] if how == "another-key" else KEY)
    if how == "changed":
        plant(bucket, {"replies.jsonl": b"planted\n"})
    changes = {"settings": {"seed": 1}} if how == "another-stage" else {}
    if changes:
        (key,) = [key for key in bucket.names() if key.endswith("unfinished.json")]
        with pytest.raises(RuntimeError, match="on purpose"):
            call(bucket, fails_after_asking, **changes)
        (other,) = [found for found in bucket.names() if found.endswith("unfinished.json") and found != key]
        for name in bucket.names(key.removesuffix(".json") + "/"):
            bucket.write(name.replace(key.removesuffix(".json"), other.removesuffix(".json")), bucket.read(name))
        bucket.write(other, bucket.read(key))
        another_machine()
    result = call(bucket, goes_on, **changes)
    assert result.outcome.figure == "nothing to go on from"
    assert "cannot be used, starting anew" in (tmp_path / "events.jsonl").read_text()


@pytest.mark.parametrize(
    "name", ["evil.py", "result.unsent.json", "result.json", "checkpoint/model.safetensors", "swift/global_step1/rank0.pt"]
)
def test_pushed_work_that_is_more_than_a_stage_pushes_is_not_taken_up(bucket, another_machine, monkeypatch, tmp_path, name):
    interrupted(bucket, another_machine, monkeypatch, tmp_path)
    record = {
        "stage": "toy",
        "key": "",
        "run": "",
        "seconds": 1,
        "outcome": {"figure": "", "outputs": {}, "figures": {}, "show": ""},
    }
    plant(bucket, {name: json.dumps(record).encode()})
    result = call(bucket, goes_on)
    assert result.outcome.figure == "nothing to go on from"
    assert f"{name} is no work that a killed stage goes on from" in (tmp_path / "events.jsonl").read_text()
    assert not [key for key in bucket.names() if key.endswith(name) and name != "result.json"]


@pytest.mark.parametrize(
    "pointer",
    [
        '{"machine": "1", "trees": [], "newest_ns": Infinity}',
        "[]",
        "[" * 100_000,
        '{"machine": "1", "trees": [], "newest_ns": 1}',
    ],
)
def test_a_pointer_to_nothing_or_that_is_none_stops_no_stage(bucket, another_machine, monkeypatch, tmp_path, pointer):
    interrupted(bucket, another_machine, monkeypatch, tmp_path)
    bucket.write(pointer_of(bucket), pointer)
    assert call(bucket, goes_on).outcome.figure == "nothing to go on from"
