"""A training's curves on a page of their own, from what lies in the stage's folder: also those of a stage that is reused."""

import json
from pathlib import Path

from page_reader import loaded, read_page

from globe.report.training_page import TITLES, write_training_page
from globe.run.stage import Outcome, StageResult
from globe.training.runs import HISTORY_FILE

HISTORY = [
    {"step": step, "loss": 6.0 - 0.1 * step, "token_acc": 0.01 * step, "grad_norm": 1.0, "learning_rate": 1e-4, "epoch": 0.1}
    for step in range(1, 31)
] + [{"step": 30, "train_runtime": 12.0}]
REWARDS = [
    {"step": step, "reward": 0.02 * step, "rewards/Accuracy/mean": 0.01 * step, "rewards/Accuracy/std": 0.1}
    | {"loss": 0.0, "kl": 0.001 * step}
    for step in range(1, 13)
]


def written(folder: Path, stage: str, history: list | None) -> str:
    if history is not None:
        (folder / HISTORY_FILE).write_text(json.dumps(history))
    result = StageResult(stage, "k", folder, Outcome("done"), 1.0, reused=True)
    write_training_page(str(folder / "out" / "page.html"), result)
    return (folder / "out" / "page.html").read_text()


def test_the_loss_is_drawn_with_the_other_figures_beside_it(tmp_path):
    text = written(tmp_path, "sft", HISTORY)
    page = read_page(text)
    drawn = [a["aria-label"].partition(" over ")[0] for tag, a in page.tags if tag == "svg"]
    assert drawn == ["Loss", "Tokens right", "Gradient's norm", "Learning rate"]
    first, last = sum(6.0 - 0.1 * step for step in range(1, 11)) / 10, sum(6.0 - 0.1 * step for step in range(21, 31)) / 10
    said = " ".join(text.split())
    assert f"First 10: <b>{first:.3f}</b>; last 10: <b>{last:.3f}</b>" in said
    assert "30 steps in all" in said


def test_grpo_is_about_its_reward_and_each_part_of_it(tmp_path):
    page = read_page(written(tmp_path, "grpo", REWARDS))
    drawn = [a["aria-label"].partition(" over ")[0] for tag, a in page.tags if tag == "svg"]
    assert drawn == ["Mean reward", "Accuracy", "KL from the start", "Loss"]


def test_the_page_is_one_file_that_loads_nothing_and_runs_nothing(tmp_path):
    text = written(tmp_path, "reward_model", HISTORY)
    page = read_page(text)
    assert loaded(page) == []
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert len(text) < 100_000


def test_without_a_log_the_page_says_so(tmp_path):
    for history in (None, []):
        assert "The trainer logged no loss, so there is no curve." in written(tmp_path, "sft", history)


def test_every_training_stage_has_a_title():
    assert set(TITLES) == {"sft", "reward_model", "grpo"}


def test_what_was_measured_on_held_out_pictures_is_drawn_with_what_is_published(tmp_path):
    measured = [{"step": step, "eval_accuracy": value} for step, value in ((0, 0.25), (6, 0.75), (12, 0.5))]
    (tmp_path / HISTORY_FILE).write_text(json.dumps([*REWARDS, *measured]))
    figures = {
        "eval_reward": "accuracy",
        "eval_rows": 512,
        "eval_start": 0.25,
        "eval_best": 0.75,
        "eval_last": 0.5,
        "best_step": 6,
    }
    result = StageResult("grpo", "k", tmp_path, Outcome("done", figures=figures), 1.0, reused=True)
    write_training_page(str(tmp_path / "page.html"), result)
    page = read_page((tmp_path / "page.html").read_text())
    drawn = [a["aria-label"].partition(" over ")[0] for tag, a in page.tags if tag == "svg"]
    assert "Held-out accuracy" in drawn
    said = " ".join(page.text["held-out"].split())
    for text in ("512 pictures", "Published is step 6", "( 0.750)", "it was 0.250", "after the last step 0.500"):
        assert text in said


def test_the_alarms_of_grpo_are_listed_with_their_steps_and_other_trainings_have_none(tmp_path):
    equal = [{"step": step, "reward": 1.0, "frac_reward_zero_std": 1.0} for step in range(1, 31)]
    assert "from step 20" in " ".join(read_page(written(tmp_path, "grpo", equal)).text["alarms"].split())
    assert "None was raised" in read_page(written(tmp_path, "grpo", REWARDS)).text["alarms"]
    assert "alarms" not in read_page(written(tmp_path, "sft", HISTORY)).text
