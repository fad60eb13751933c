"""A completion without a score: the others get the advantages that they would have if it had never been drawn."""

import json
import math
from collections import defaultdict, deque
from statistics import mean, stdev
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from globe.errors import GlobeError
from globe.training.grpo_arguments import REFUSED_METRIC

K = 4
WEIGHTS = torch.tensor([1.0, 0.5])
REWARDS = torch.tensor([
    [1.0, 0.9], [0.2, 0.1], [0.0, 0.4], [1.0, 0.3],
    [0.2, 0.8], [0.2, 0.2], [1.0, 0.7], [0.0, 0.7],
    [1.0, 0.5], [1.0, 0.5], [1.0, 0.5], [0.0, 0.1],
])  # fmt: skip
MISSING = (1, 4, 6, 11)


@pytest.fixture(scope="module")
def plugin():
    """The plugin, in force for this file's tests only."""
    trainers = pytest.importorskip("swift.rlhf_trainers", reason="needs the train extra")
    module, trainer = trainers.grpo_trainer, trainers.GRPOTrainer
    before = (module.compute_advantages, module.compute_reward_metrics, trainer._compute_advantages)
    from globe.training import swift_missing_scores

    module.compute_advantages = swift_missing_scores.compute_advantages  # also where an earlier test has imported the plugin
    yield swift_missing_scores
    module.compute_advantages, module.compute_reward_metrics, trainer._compute_advantages = before


def without(*rows: int) -> torch.Tensor:
    rewards = REWARDS.clone()
    rewards[list(rows), 1] = torch.nan
    return rewards


def groups(missing: tuple[int, ...]) -> list[list[int]]:
    """The rows of each group that have all scores."""
    return [[row for row in range(start, start + K) if row not in missing] for start in range(0, len(REWARDS), K)]


def total(row: int) -> float:
    return REWARDS[row, 0].item() * 1.0 + REWARDS[row, 1].item() * 0.5


def spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def by_hand(scale: str, missing: tuple[int, ...], estimator: str = "grpo") -> list[float]:
    """The advantages, in plain Python, over the rows that have all scores."""
    advantages = [0.0] * len(REWARDS)
    there = [row for group in groups(missing) for row in group]
    for group in groups(missing):
        rewards = [total(row) for row in group]
        for row, reward in zip(group, rewards, strict=True):
            factor = len(group) / (len(group) - 1) if estimator == "rloo" and len(group) > 1 else 1.0
            advantages[row] = (reward - mean(rewards)) * factor
            if scale == "group":
                advantages[row] /= spread(rewards) + 1e-4
    if scale == "batch":
        of = advantages if estimator == "reinforce_plus_plus" else [total(row) for row in range(len(REWARDS))]
        advantages = [value / (spread([of[row] for row in there]) + 1e-4) for value in advantages]
    if scale == "gdpo":
        summed = dict.fromkeys(there, 0.0)
        for group in groups(missing):
            for column, weight in enumerate(WEIGHTS.tolist()):
                scores = [REWARDS[row, column].item() for row in group]
                for row, score in zip(group, scores, strict=True):
                    summed[row] += weight * (score - mean(scores)) / (spread(scores) + 1e-8)
        middle, width = mean(summed.values()), spread(list(summed.values()))
        advantages = [(summed[row] - middle) / (width + 1e-8) if row in summed else 0.0 for row in range(len(REWARDS))]
    return advantages


@pytest.mark.parametrize("missing", [(), MISSING, (1,), (0, 1, 2, 3), (4, 5, 6)])
@pytest.mark.parametrize(("scale", "estimator"), [
    ("group", "grpo"), ("batch", "grpo"), ("none", "grpo"), ("gdpo", "grpo"), ("group", "rloo"), ("none", "rloo"),
    ("batch", "reinforce_plus_plus"),
])  # fmt: skip
def test_the_others_are_compared_as_if_it_had_never_been_drawn(plugin, scale, estimator, missing):
    options = {"advantage_estimator": estimator, "scale_rewards": scale}
    advantages, rewards = plugin.compute_advantages(without(*missing), WEIGHTS, K, **options)
    assert advantages.tolist() == pytest.approx(by_hand(scale, missing, estimator), abs=1e-5)
    assert [row for row in range(len(REWARDS)) if math.isnan(rewards[row])] == list(missing)
    assert all(advantages[row] == 0 for row in missing)


def test_ms_swift_alone_would_count_it_as_0_and_the_plugin_is_what_it_calls(plugin):
    from swift.rl_core.advantage import compute_advantages
    from swift.rlhf_trainers import grpo_trainer

    assert grpo_trainer.compute_advantages is plugin.compute_advantages
    theirs, _ = compute_advantages(without(3), WEIGHTS, K)
    as_zero = REWARDS.clone()
    as_zero[3, 1] = 0.0
    assert torch.equal(theirs, compute_advantages(as_zero, WEIGHTS, K)[0])
    assert plugin.compute_advantages(without(3), WEIGHTS, K)[0].tolist() != pytest.approx(theirs.tolist(), abs=0.1)


@pytest.mark.parametrize("scale", ["group", "batch", "none", "gdpo"])
def test_with_all_scores_nothing_is_changed(plugin, scale):
    from swift.rl_core.advantage import compute_advantages, compute_reward_metrics

    ours = plugin.compute_advantages(REWARDS, WEIGHTS, K, scale_rewards=scale)
    theirs = compute_advantages(REWARDS, WEIGHTS, K, scale_rewards=scale)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    told = (theirs[1], REWARDS, ["accuracy", "localizability"], K, scale)
    assert plugin.compute_reward_metrics(*told) == compute_reward_metrics(*told)


def test_the_figures_of_a_step_are_those_of_the_completions_with_scores(plugin):
    missing = (1, 8, 9, 10)
    rewards = plugin.compute_advantages(without(*missing), WEIGHTS, K)[1]
    told = plugin.compute_reward_metrics(rewards, without(*missing), ["accuracy", "localizability"], K, "group")
    there = [[total(row) for row in group] for group in groups(missing)]
    assert told.reward_mean == pytest.approx(mean(map(mean, there)))
    assert told.reward_std == pytest.approx(mean(stdev(one) for one in there if len(one) > 1))
    assert told.frac_reward_zero_std == 0.0
    left = [REWARDS[row, 1].item() for row in range(len(REWARDS)) if row not in missing]
    assert told.per_func_mean["localizability"] == pytest.approx(mean(left))


def batch(*lengths: int) -> dict[str, Any]:
    mask = torch.arange(8).unsqueeze(0) < torch.tensor(lengths).unsqueeze(1)
    return {"grpo_batch": SimpleNamespace(completion_mask=mask, num_items_in_batch=torch.tensor(99.0))}


def test_its_tokens_are_in_no_loss_and_in_no_losss_denominator(plugin):
    batches = [batch(3, 8, 5), batch(2, 1, 7)]
    plugin.leave_out(torch.tensor([False, True, False, False, False, True]), batches)
    assert [part["grpo_batch"].completion_mask.sum(dim=1).tolist() for part in batches] == [[3, 0, 5], [2, 1, 0]]
    assert [part["grpo_batch"].num_items_in_batch.item() for part in batches] == [11.0, 11.0]


def trainer(**more: Any) -> SimpleNamespace:
    """As much of ms-swift's trainer as its `_compute_advantages` needs."""
    return SimpleNamespace(
        reward_func_names=["accuracy", "localizability"],
        reward_weights=WEIGHTS,
        num_generations=K,
        num_generations_eval=K,
        scale_rewards="group",
        advantage_estimator="grpo",
        kl_in_reward=False,
        beta=0.0,
        dynamic_num_samples=False,
        rollout_pad_count=0,
        model=SimpleNamespace(training=True),
        template=SimpleNamespace(sequence_parallel_size=1),
        accelerator=SimpleNamespace(num_processes=1, process_index=0),
        state=SimpleNamespace(global_step=3),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _logs={"rewards": defaultdict(lambda: deque(maxlen=24))},
        **more,
    )


def test_ms_swifts_trainer_logs_null_and_how_many_were_refused(plugin, monkeypatch):
    from swift.rlhf_trainers import grpo_trainer

    monkeypatch.setattr(grpo_trainer, "compute_reward_metrics", plugin.compute_reward_metrics)
    training, batches = trainer(), [batch(*[4] * 6), batch(*[5] * 6)]
    for missing in ((), MISSING):
        advantages = plugin._advantages(training, [], without(*missing), batches)
        assert advantages.tolist() == pytest.approx(by_hand("group", missing), abs=1e-5)
    assert training._metrics["train"][REFUSED_METRIC] == [len(MISSING)]
    assert all(math.isfinite(value) for values in training._metrics["train"].values() for value in values)
    logged = json.loads(json.dumps(list(training._logs["rewards"]["localizability"]), allow_nan=False))
    assert [row - 12 for row, score in enumerate(logged) if score is None] == list(MISSING)
    assert logged[0] == pytest.approx(0.9)
    left = sum(part["grpo_batch"].completion_mask.sum().item() for part in batches)
    assert left == sum(4 if row < 6 else 5 for row in range(len(REWARDS)) if row not in MISSING)


def test_a_step_of_which_most_is_refused_ends_the_training_with_what_to_do(plugin):
    plugin._advantages(trainer(), [], without(0, 1, 2, 4, 5, 8), [batch(*[4] * 12)])
    with pytest.raises(GlobeError, match=r"does not take 7 of 12 completions of a step.*serving\.max_model_len"):
        plugin._advantages(trainer(), [], without(0, 1, 2, 4, 5, 8, 9), [batch(*[4] * 12)])
