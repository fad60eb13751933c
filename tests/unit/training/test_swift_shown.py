"""The plugin that measures GRPO: each rollout is written once, and nothing that it does is left behind."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def shown():
    """The plugin, in force for this file's tests only."""
    trainers = pytest.importorskip("swift.rlhf_trainers", reason="needs the train extra")
    before = dict(vars(trainers.GRPOTrainer))
    from globe.training import swift_shown

    yield swift_shown
    for name, value in before.items():
        if vars(trainers.GRPOTrainer)[name] is not value:
            setattr(trainers.GRPOTrainer, name, value)


def trainer_of(**values: Any) -> Any:
    """As much of a trainer as asking its engine takes: it answers with the picture's name."""
    from swift.infer_engine import RequestConfig

    asked: list[list[str]] = []

    def generate(samples: list[Any]) -> list[Any]:
        assert trainer.request_config.temperature == 0.0
        torch.rand(3), random.random(), np.random.rand()
        trainer.model.eval()
        asked.append([sample.picture for sample in samples])
        return [SimpleNamespace(messages=[{"content": f"seen {sample.picture}"}]) for sample in samples]

    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(num_processes=1, process_index=0),
        args=SimpleNamespace(async_generate=False, per_device_train_batch_size=2, steps_per_generation=1),
        use_fast_infer=False,
        model=torch.nn.Linear(1, 1).train(),
        request_config=RequestConfig(temperature=1.0, top_k=100),
        to_samples=lambda rows: [SimpleNamespace(**row) for row in rows],
        _generate_completions=generate,
        asked=asked,
    )
    vars(trainer).update(values)
    return trainer


def test_a_rollout_is_written_once_however_often_it_is_logged(shown):
    written: list[dict] = []
    writer = shown.OncePerRollout(written)
    for is_new, table in ((True, {"a": 1}), (False, {"a": 1}), (True, {"b": 2}), (False, {"summary": 3})):
        writer.is_new = writer.is_new or is_new
        writer.append(table)
    assert written == [{"a": 1}, {"b": 2}]


def test_answers_come_in_the_order_of_the_rows_and_no_more_at_once_than_in_training(shown):
    rows = [{"picture": f"p{index}"} for index in range(5)]
    trainer = trainer_of()
    assert shown.answers(trainer, rows) == [f"seen p{index}" for index in range(5)]
    assert trainer.asked == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    trainer = trainer_of(use_fast_infer=True)  # an engine of its own batches itself
    shown.answers(trainer, rows)
    assert trainer.asked == [["p0", "p1", "p2", "p3", "p4"]]


def test_after_a_measurement_random_numbers_decoding_and_the_models_mode_are_as_before(shown):
    trainer = trainer_of()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    undisturbed = torch.rand(2).tolist(), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    sampled = trainer.request_config
    shown.answers(trainer, [{"picture": "p"}])
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == undisturbed
    assert trainer.request_config is sampled
    assert (sampled.temperature, sampled.top_k) == (1.0, 100)
    assert trainer.model.training


def test_a_measurement_that_fails_leaves_the_decoding_as_it_was(shown):
    def fails(samples: list[Any]) -> list[Any]:
        raise RuntimeError("engine is gone")

    trainer = trainer_of(_generate_completions=fails)
    sampled = trainer.request_config
    with pytest.raises(RuntimeError, match="engine is gone"):
        shown.answers(trainer, [{"picture": "p"}])
    assert trainer.request_config is sampled


def test_completions_that_were_ordered_ahead_are_waited_for_and_not_taken(shown):
    waited: list[str] = []
    args = SimpleNamespace(async_generate=True, per_device_train_batch_size=2, steps_per_generation=1)
    trainer = trainer_of(
        args=args, async_generate=True, train_queue="train", _async_futures={"train": 1}, _wait_queue=waited.append
    )
    with shown.greedy(trainer):
        assert (trainer.args.async_generate, trainer.async_generate, waited) == (False, False, ["train"])
    assert (trainer.args.async_generate, trainer.async_generate) == (True, True)


def test_a_completion_that_is_given_as_tokens_is_read_as_text(shown):
    trainer = SimpleNamespace(processing_class=SimpleNamespace(decode=lambda ids, skip_special_tokens: f"{ids} decoded"))
    for content in ([1, 2], {"token_ids": [1, 2]}):
        assert shown.text_of(trainer, SimpleNamespace(messages=[{"content": content}])) == "[1, 2] decoded"
    assert shown.text_of(trainer, SimpleNamespace(messages=[{"content": "plain"}])) == "plain"
