"""When scores cannot be had: all processes end together, and what is saved is the trainer as it was after its last step."""

import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from globe.errors import GlobeError
from globe.training.grpo_arguments import OUTAGE_CALLBACK


@pytest.fixture(scope="module")
def plugin():
    """The plugin, in force for this file's tests only."""
    trainers = pytest.importorskip("swift.rlhf_trainers", reason="needs the train extra")
    before = (trainers.grpo_trainer.score_completions, trainers.GRPOTrainer._compute_rewards_per_func)
    from globe.training import swift_reward_outage

    yield swift_reward_outage
    trainers.grpo_trainer.score_completions, trainers.GRPOTrainer._compute_rewards_per_func = before


def drawn() -> tuple[Any, ...]:
    """Numbers from every generator."""
    return random.random(), np.random.rand(), torch.rand(1).item()


class Trainer(SimpleNamespace):
    """As much of a trainer as saving needs: a checkpoint is the numbers that would be drawn after it."""

    def __init__(self, plugin: Any, step: int, *, iterations: int = 1, accumulated: int = 1, generation: int = 1) -> None:
        args = SimpleNamespace(
            gradient_accumulation_steps=accumulated, steps_per_generation=generation, num_iterations=iterations
        )
        super().__init__(args=args, state=SimpleNamespace(global_step=step), model="m", control=None)
        self.saved: list[tuple[int, Any]] = []
        self.last = plugin.LastStep(args, self)
        self.callback_handler = SimpleNamespace(on_save=self.last.on_save)

    def _save_checkpoint(self, model: str, trial: None) -> None:
        self.saved.append((self.state.global_step, drawn()))


def test_ms_swift_finds_the_callback_by_its_name_and_calls_what_the_plugin_put_there(plugin):
    from swift.callbacks import callbacks_map
    from swift.rlhf_trainers import GRPOTrainer, grpo_trainer

    assert callbacks_map[OUTAGE_CALLBACK] is plugin.LastStep
    assert grpo_trainer.score_completions.__module__ == GRPOTrainer._compute_rewards_per_func.__module__ == plugin.__name__


def test_what_the_lost_completions_drew_is_given_back(plugin):
    trainer = Trainer(plugin, step=4)
    trainer.last.on_step_end(trainer.args, trainer.state, None)
    states = plugin.random_states()
    after_the_step = drawn()
    plugin.restore(states)
    for _ in range(5):
        drawn()
    plugin.save_last_step(trainer)
    assert trainer.saved == [(4, after_the_step)]


def test_a_step_that_is_saved_already_is_not_saved_again(plugin):
    trainer = Trainer(plugin, step=4)
    trainer.last.on_step_end(trainer.args, trainer.state, None)
    trainer.last.on_save(trainer.args, trainer.state, None)
    plugin.save_last_step(trainer)
    assert trainer.saved == []


def test_before_the_first_step_there_is_nothing_to_save(plugin):
    trainer = Trainer(plugin, step=0)
    plugin.save_last_step(trainer)
    assert trainer.saved == []


@pytest.mark.parametrize(("step", "rollout", "saved"), [
    (4, {"iterations": 2}, True), (3, {"iterations": 2}, False), (1, {"accumulated": 2, "generation": 3}, False),
    (3, {"accumulated": 2, "generation": 3}, True), (1, {"accumulated": 4, "generation": 2}, True),
])  # fmt: skip
def test_a_step_amid_a_rollout_is_not_saved(plugin, step, rollout, saved):
    trainer = Trainer(plugin, step=step, **rollout)
    trainer.last.on_step_end(trainer.args, trainer.state, None)
    plugin.save_last_step(trainer)
    assert bool(trainer.saved) == saved


def ranks(monkeypatch: pytest.MonkeyPatch, plugin: Any, rewards: list[Callable[[], torch.Tensor]]) -> list[Any]:
    """Call the plugin in several threads, as processes that wait for one another; gives each one's scores or error."""
    barrier, told, results = threading.Barrier(len(rewards)), {}, [None] * len(rewards)
    number = threading.local()

    def gather_object(mine: list[str]) -> list[str]:
        told[number.rank] = mine
        barrier.wait(timeout=60)
        return [text for rank in sorted(told) for text in told[rank]]

    def run(rank: int) -> None:
        number.rank = rank
        try:
            results[rank] = plugin._scores_or_end()
        except Exception as error:
            results[rank] = error

    monkeypatch.setattr(plugin, "gather_object", gather_object)
    monkeypatch.setattr(plugin, "_score_completions", lambda: rewards[number.rank]())
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(rewards))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def gives_up() -> torch.Tensor:
    raise GlobeError("no answer for 1800 s")


def test_when_one_process_gets_no_scores_all_end_with_its_reason(plugin, monkeypatch):
    results = ranks(monkeypatch, plugin, [lambda: torch.ones(2), gives_up, lambda: torch.zeros(2)])
    assert [(type(one), str(one)) for one in results] == [(GlobeError, "no answer for 1800 s")] * 3


def test_when_all_have_scores_each_goes_on_with_its_own(plugin, monkeypatch):
    results = ranks(monkeypatch, plugin, [lambda: torch.ones(2), lambda: torch.zeros(2)])
    assert [one.tolist() for one in results] == [[1, 1], [0, 0]]


def test_the_last_step_is_saved_before_the_training_ends_with_the_reason(plugin, monkeypatch):
    trainer = Trainer(plugin, step=2)
    trainer.last.on_step_end(trainer.args, trainer.state, None)
    monkeypatch.setattr(plugin, "_compute_rewards", lambda *_: gives_up())
    with pytest.raises(GlobeError, match="no answer for 1800 s"):
        plugin._rewards_or_save(trainer, [])
    assert [step for step, _ in trainer.saved] == [2]
