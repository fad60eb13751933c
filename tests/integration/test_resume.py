"""A killed training ends as one that was left alone does: the same weights, bit for bit, and the same figures.

Real processes of `globe sft`, `globe reward-model` and `globe grpo` are killed with SIGKILL, more than once: between two steps,
while a checkpoint is being written, right when one is whole, at the very edge of an epoch, and after the last step.
"""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest
from safetensors.torch import load_file
from toy_data import curated_toy

from globe import storage
from globe.data.shards import read_dataset, write_dataset
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY
from globe.recipes.load import load_recipe
from globe.signing import KEY_VARIABLE
from globe.training.completions import COMPLETIONS_FILE, parse, read_new
from globe.training.grpo_arguments import grpo_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.held_out import hold_out, split_rows
from globe.training.rows import prompt_row
from globe.training.runs import ignored
from globe.training.swift import train
from globe.training.trainer_checkpoints import read_history

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
GLOBE = str(Path(sys.executable).with_name("globe"))
WAIT_S = 1200
# 103 rows: an epoch has 7 batches of 16, which are 3 steps, the last of one batch. So every checkpoint is at an epoch's edge but
# the last, and the training ends within an epoch.
SFT = ["max_steps=14", "save_steps=3", "logging_steps=5", "per_device_train_batch_size=16", "gradient_accumulation_steps=3"]
REWARD_MODEL = ["max_steps=12", "save_steps=4", "logging_steps=2"]
# 16 prompts, 8 a step: an epoch has 2 steps, and the training ends within the third. It is measured at steps 2, 4 and 5.
HELD_OUT = 8
REWARDS = {"distance": 1.0, "format": 1.0, "visual_precision": 0.5}  # distance tells more policies apart than accuracy does
GRPO = ["max_steps=-1", "num_train_epochs=2.5", "per_device_train_batch_size=64", "save_steps=1", "sample_steps=2"]
GRPO += [f"eval_rows={HELD_OUT}", "eval_steps=2", f"rewards={json.dumps(REWARDS)}"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return curated_toy(tmp_path_factory.mktemp("store"), 200)


@pytest.fixture(scope="module")
def few(data, tmp_path_factory) -> Path:
    """A curated folder whose pool is small enough to be gone through more than once."""
    folder = tmp_path_factory.mktemp("few")
    write_dataset(folder / "pool", islice(read_dataset(data / "pool"), 16 + HELD_OUT))
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return Path(base_model(model=TINY, seed=0, store=tmp_path_factory.mktemp("base")).outcome.outputs["checkpoint"])


@pytest.fixture(scope="module")
def policy(data, tiny, tmp_path_factory) -> Path:
    """What GRPO starts from: a model that has learnt enough for its samples to be rewarded."""
    out = tmp_path_factory.mktemp("policy")
    finish(command("sft", data, tiny, out, ["max_steps=60", "save_steps=60"]))
    return out / "checkpoint"


class Ended(NamedTuple):
    """A training that has ended: its folder, and what it said."""

    out: Path
    said: dict


@pytest.fixture(scope="module")
def sft_alone(data, tiny, tmp_path_factory) -> Ended:
    """SFT left alone."""
    return leave_alone("sft", data, tiny, SFT, tmp_path_factory.mktemp("sft-alone"))


@pytest.fixture(scope="module")
def grpo_alone(few, policy, tmp_path_factory) -> Ended:
    """GRPO left alone."""
    return leave_alone("grpo", few, policy, GRPO, tmp_path_factory.mktemp("grpo-alone"))


def leave_alone(stage: str, data: Path, model: Path, settings: list[str], out: Path) -> Ended:
    ended = Ended(out, finish(command(stage, data, model, out, settings)))
    before, after = load_file(model / "model.safetensors"), load_file(out / "checkpoint" / "model.safetensors")
    assert not all(before[name].equal(after[name]) for name in before), "nothing was learnt, so there is nothing to compare"
    return ended


def command(stage: str, data: Path, model: Path, out: Path, settings: list[str]) -> list[str]:
    places = ["--data", str(data), "--model", str(model), "--out", str(out)]
    return [GLOBE, stage, "--recipe", "demo", *places, "--json", *(f"--set={setting}" for setting in settings)]


def finish(argv: list[str]) -> dict:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_when(reached: Callable[[], bool], argv: list[str], *, alone: bool = False) -> None:
    """Start a command and end it with SIGKILL when it has reached a state; its children too, unless it is killed alone."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()


def kill_while_it_saves(out: Path, step: int, argv: list[str]) -> None:
    """A machine may be so busy that a save is over before its process can be killed; then it saves once more."""
    for _ in range(5):
        kill_when(lambda: checkpoint_of(out, step).exists(), argv)
        if not is_whole(out, step):
            return
        shutil.rmtree(checkpoint_of(out, step))
    pytest.fail(f"step {step} was always saved before it could be killed")


def checkpoint_of(out: Path, step: int) -> Path:
    return next(out.glob("*/*/swift"), Path("nowhere")) / f"checkpoint-{step}"


def is_whole(out: Path, step: int) -> bool:
    return (checkpoint_of(out, step) / "whole.json").exists()


def has_logged(out: Path, step: int) -> bool:
    log = checkpoint_of(out, step).with_name("logging.jsonl")
    return log.exists() and f'"global_step/max_steps": "{step}/' in log.read_text()


def is_published(out: Path) -> bool:
    return any(out.glob("*/*/checkpoint/globe-checkpoint.json"))


def history(out: Path) -> list[dict]:
    """What was logged at each step, without what a clock says."""
    (path,) = out.glob("*/*/history.json")
    return untimed(json.loads(path.read_text()))


def untimed(history: list[dict]) -> list[dict]:
    timed = ("time", "runtime", "per_second", "speed", "memory", "flos")
    return [{k: v for k, v in logged.items() if not any(word in k for word in timed)} for logged in history]


def assert_same_ends(left_alone: Ended, killed: Ended) -> None:
    assert left_alone.said["digest"] == killed.said["digest"]  # the files beside the weights are the same, too
    assert_same_training(left_alone, killed)


def assert_same_training(left_alone: Ended, killed: Ended) -> None:
    """The cards of the two may differ, if one saves less often."""
    weights = [load_file(ended.out / "checkpoint" / "model.safetensors") for ended in (left_alone, killed)]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    assert left_alone.said["figures"] == killed.said["figures"]
    assert left_alone.said["steps"] == killed.said["steps"]
    assert history(left_alone.out)[:-1] == history(killed.out)[:-1]  # the last line sums up the last call alone


def test_sft_told_to_end_killed_while_it_saves_at_an_epochs_edge_and_after_its_last_step_ends_with_the_same_weights(
    data, tiny, tmp_path, sft_alone
):
    argv = command("sft", data, tiny, tmp_path, SFT)
    assert is_whole(tmp_path, stop_when(lambda: has_logged(tmp_path, 5), argv))
    assert not is_whole(tmp_path, 9)
    kill_while_it_saves(tmp_path, 9, argv)
    kill_when(lambda: is_whole(tmp_path, 12), argv, alone=True)
    kill_when(lambda: is_whole(tmp_path, 14), argv)
    assert_same_ends(sft_alone, Ended(tmp_path, finish(argv)))


@pytest.mark.long
def test_the_reward_model_killed_between_saves_and_after_publishing_ends_with_the_same_weights(data, tiny, tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    argv = command("reward-model", data, tiny, killed, REWARD_MODEL)
    with ThreadPoolExecutor() as pool:
        left_alone = pool.submit(leave_alone, "reward-model", data, tiny, REWARD_MODEL, alone)
        kill_when(lambda: has_logged(killed, 6), argv)
        kill_when(lambda: is_published(killed), argv)
        assert_same_ends(left_alone.result(), Ended(killed, finish(argv)))


def test_grpo_killed_within_an_epoch_at_the_next_ones_edge_and_while_it_saves_ends_with_the_same_weights(
    few, policy, tmp_path, grpo_alone
):
    argv = command("grpo", few, policy, tmp_path, GRPO)
    kill_when(lambda: is_whole(tmp_path, 3), argv)
    kill_when(lambda: is_whole(tmp_path, 4), argv)
    kill_while_it_saves(tmp_path, 5, argv)
    assert_same_ends(grpo_alone, Ended(tmp_path, finish(argv)))
    left_alone, killed = (next(folder.glob("grpo/*/swift")).parent for folder in (grpo_alone.out, tmp_path))
    measured = [logged["step"] for logged in history(tmp_path) if "eval_distance" in logged]
    assert measured == [0, 2, 4, 5]
    assert [step for step, _ in completions(killed)] == [1, 2, 3, 4, 5]
    assert completions(killed) == completions(left_alone)
    pages = [{path.name: path.read_bytes() for path in (folder / "samples").iterdir()} for folder in (left_alone, killed)]
    assert pages[0] == pages[1]
    assert {"step-000002.html", "step-000004.html", "step-000005.html"} < pages[0].keys()


def completions(stage: Path) -> list[tuple[int, list[str]]]:
    """The texts of each step."""
    read = read_new(stage / "swift" / COMPLETIONS_FILE, 0)
    return [(step, [one["completion"] for one in parse(line)]) for step, line, _ in read]


@pytest.mark.long
def test_grpo_that_is_measured_takes_the_same_steps_as_one_that_is_not(few, policy, tmp_path, grpo_alone):
    few_steps = {"max_steps": 5, "save_steps": 5, "per_device_train_batch_size": 64}
    recipe = load_recipe(GrpoRecipe, "grpo", "demo", few_steps)
    rows = list(read_dataset(few / "pool"))
    files = split_rows(rows, hold_out(rows, HELD_OUT, recipe.seed), prompt_row, tmp_path / "data")
    arguments = grpo_arguments(recipe, policy, files.train, tmp_path / "grpo" / "key" / "swift", REWARDS)
    plain = train("rlhf", arguments, recipe, tmp_path / "log", ignored)
    measured = next(grpo_alone.out.glob("grpo/*/swift"))
    logged = [untimed(read_history(plain)), history(grpo_alone.out)]
    assert [[values["step"] for values in one if "eval_distance" in values] for one in logged] == [[], [0, 2, 4, 5]]
    steps = [[values for values in one if "grad_norm" in values] for one in logged]
    assert len(steps[0]) == 5
    assert steps[0] == steps[1]
    assert completions(plain.parents[1]) == completions(measured.parent)


def stop_when(reached: Callable[[], bool], argv: list[str]) -> int:
    """Tell a command to end when it has reached a state, as a drained node does, and give the step that it has saved."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    process.terminate()
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 75, said
    return int(re.findall(r"saved at step (\d+) of", said)[-1])


@pytest.mark.long
def test_grpo_that_is_told_to_end_saves_the_very_step_and_ends_with_the_same_weights(few, policy, tmp_path, grpo_alone):
    argv = command("grpo", few, policy, tmp_path, [*GRPO, "save_steps=100"])
    assert is_whole(tmp_path, stop_when(lambda: has_logged(tmp_path, 2), argv))
    assert_same_training(grpo_alone, Ended(tmp_path, finish(argv)))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 96 MB, which five checkpoints fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.long
def test_a_training_whose_disk_fills_up_says_so_and_goes_on_from_its_last_checkpoint_when_there_is_room(
    data, tiny, small_disk, sft_alone
):
    out = small_disk / "out"
    argv = command("sft", data, tiny, out, SFT)
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not is_whole(out, 3):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(1 << 12)):
            pass
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "GB of free space: make room" in said.splitlines()[-1]
    assert is_whole(out, 3)
    (small_disk / "filler").unlink()
    assert_same_ends(sft_alone, Ended(out, finish(argv)))


class Bait:
    """Whoever unpickles it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def plant(checkpoint: Path, marker: Path) -> None:
    """Put programs where a trainer looks for its state, and make the mark fit them, as somebody without the key can."""
    for name in ("optimizer.pt", "rng_state_7.pth", "global_step3/mp_rank_00_model_states.pt"):
        (checkpoint / name).parent.mkdir(exist_ok=True)
        (checkpoint / name).write_bytes(pickle.dumps(Bait(marker)))
    (checkpoint / "latest").write_text("global_step3")
    (checkpoint / "plugin.py").write_text(f"import os; os.mkdir({str(marker)!r})")
    arguments = json.loads((checkpoint / "args.json").read_text())
    (checkpoint / "args.json").write_text(json.dumps(arguments | {"external_plugins": [str(checkpoint / "plugin.py")]}))
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in checkpoint.rglob("*") if path.is_file()}
    mark = json.loads((checkpoint / "whole.json").read_text())
    step = int(checkpoint.name.split("-")[1])
    files = {name: size for name, size in sizes.items() if name != "whole.json"}
    (checkpoint / "whole.json").write_text(json.dumps(mark | {"step": step, "files": files}))


def is_sealed(out: Path, step: int) -> bool:
    return is_whole(out, step) and "signature" in (checkpoint_of(out, step) / "whole.json").read_text()


def test_planted_checkpoints_are_told_and_training_goes_on_from_the_newest_that_its_key_has_sealed(
    data, tiny, tmp_path, monkeypatch, sft_alone
):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)
    for made_without_a_key in (data.parent, tiny.parent):
        storage.sign(made_without_a_key, ())
    events, marker = tmp_path / "events.jsonl", tmp_path / "marker"

    out = tmp_path / "planted"
    argv = command("sft", data, tiny, out, SFT)
    kill_when(lambda: is_sealed(out, 6), argv)
    shutil.rmtree(checkpoint_of(out, 9), ignore_errors=True)
    shutil.copytree(checkpoint_of(out, 6), checkpoint_of(out, 9))
    for step in (6, 9):
        plant(checkpoint_of(out, step), marker)
    monkeypatch.setenv("GLOBE_EVENTS", str(events))
    assert_same_ends(sft_alone, Ended(out, finish(argv)))
    assert not marker.exists()
    told = events.read_text()
    for step in (6, 9):
        assert f"checkpoint-{step}: is not signed with this run's key, or was changed since" in told
    pickle.loads(pickle.dumps(Bait(marker)))
    assert marker.exists()  # the bait was one


def test_a_training_that_diverges_is_no_success_with_a_loss_of_zero(data, tiny, tmp_path):
    argv = command(
        "sft", data, tiny, tmp_path / "out", ["max_steps=6", "learning_rate=1e18", "warmup_ratio=0", "logging_steps=1"]
    )
    done = subprocess.run(argv, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert "the training diverged" in done.stderr
    assert not (tmp_path / "out" / "checkpoint").exists()


@pytest.fixture(scope="module")
def interrupted(data, tiny, tmp_path_factory) -> list[str]:
    """The command of a training that was killed after its first checkpoint."""
    out = tmp_path_factory.mktemp("interrupted")
    argv = command("sft", data, tiny, out, SFT)
    kill_when(lambda: is_whole(out, 3), argv)
    return argv


def test_a_checkpoint_with_other_keys_ends_the_training_and_names_the_first(interrupted):
    out = Path(interrupted[interrupted.index("--out") + 1])
    for weights in out.glob("*/*/swift/checkpoint-*/model.safetensors"):
        weights.write_bytes(weights.read_bytes().replace(b"visual.blocks.0.norm1", b"visual.blocks.0.other", 1))
    done = subprocess.run(interrupted, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert "do not fit the model: missing key" in done.stderr
    assert "visual.blocks.0.norm1" in done.stderr
    assert not (out / "checkpoint").exists()


def test_a_checkpoint_of_another_number_of_steps_is_not_gone_on_from(interrupted):
    out = Path(interrupted[interrupted.index("--out") + 1])
    for mark in out.glob("*/*/swift/checkpoint-*/whole.json"):
        mark.write_text(json.dumps(json.loads(mark.read_text()) | {"max_steps": 28}))
    for weights in out.glob("*/*/swift/checkpoint-*/model.safetensors"):
        weights.write_bytes(weights.read_bytes().replace(b"visual.blocks.0.other", b"visual.blocks.0.norm1", 1))
    done = subprocess.run(interrupted, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    assert "of 28 (1 processes), and the training would resume at step" in done.stderr
    assert not (out / "checkpoint").exists()


def test_a_folder_of_another_training_is_refused_and_left_as_it_is(interrupted):
    out = Path(interrupted[interrupted.index("--out") + 1])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    done = subprocess.run([*interrupted, "--set", "learning_rate=0.5"], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "learning rate was '0.003' and is now '0.5'" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
