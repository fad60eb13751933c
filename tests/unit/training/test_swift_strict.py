"""What ms-swift and its libraries would pass over ends the training: on the demo's model, without training it."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, PreTrainedModel, Trainer

from globe.errors import GlobeError
from globe.training.trainer_checkpoints import CALLBACK, mark_whole, read_mark


@pytest.fixture(scope="module")
def strict():
    """The plugin, in force for this file's tests only."""
    trainers = pytest.importorskip("swift.rlhf_trainers", reason="needs the train extra")
    before = {owner: dict(vars(owner)) for owner in (PreTrainedModel, Trainer, trainers.GRPOTrainer)}
    from globe.training import swift_strict

    yield swift_strict
    for owner, attributes in before.items():
        for name in set(vars(owner)) - set(attributes):
            delattr(owner, name)
        for name, value in attributes.items():
            if vars(owner)[name] is not value:
                setattr(owner, name, value)


def model_of(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder)


def without_a_key(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    del weights[next(name for name in sorted(weights) if "norm" in name)]
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def changed(model: Any) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0)
    return model


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_whose_file_lacks_a_key_is_not_loaded(strict, tiny_model, tmp_path):
    with pytest.raises(GlobeError, match=r"missing key \S*norm"):
        model_of(without_a_key(tiny_model, tmp_path / "m"))


def test_a_resumed_training_has_the_checkpoints_weights_and_not_those_it_started_from(strict, tiny_model, tmp_path):
    saved = changed(model_of(tiny_model))
    saved.save_pretrained(tmp_path / "checkpoint-3")
    fresh = model_of(tiny_model)
    assert not equal(fresh.state_dict(), saved.state_dict())
    Trainer._load_from_checkpoint(SimpleNamespace(model=fresh), str(tmp_path / "checkpoint-3"))
    assert equal(fresh.state_dict(), saved.state_dict())


def test_a_resumed_adapter_has_the_checkpoints_weights_and_can_be_trained(strict, tiny_model, tmp_path):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules="all-linear")
    saved = changed(get_peft_model(model_of(tiny_model), config))
    saved.save_pretrained(tmp_path / "checkpoint-3")
    fresh = get_peft_model(model_of(tiny_model), config)
    Trainer._load_from_checkpoint(SimpleNamespace(model=fresh), str(tmp_path / "checkpoint-3"))
    trained = {name: weight for name, weight in fresh.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert equal(trained, {name: weight for name, weight in saved.named_parameters() if name in trained})


def test_weights_are_loaded_into_nothing_but_a_model(strict, tmp_path):
    with pytest.raises(GlobeError, match="cannot load weights into a Linear"):
        Trainer._load_from_checkpoint(SimpleNamespace(model=torch.nn.Linear(1, 1)), str(tmp_path))


def callback(strict, **trainer: Any) -> Any:
    return strict.Steps(SimpleNamespace(), SimpleNamespace(**trainer))


def arguments(**values: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"resume_from_checkpoint": None, "world_size": 1, "seed": 5} | values)


def state(step: int, steps: int = 4, **values: Any) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, max_steps=steps, is_world_process_zero=True, **values)


def test_ms_swift_finds_the_callback_by_its_name(strict):
    from swift.callbacks import callbacks_map

    assert callbacks_map[CALLBACK] is strict.Steps


@pytest.mark.parametrize("option", ["save_only_model", "resume_only_model", "ignore_data_skip"])
def test_options_that_make_a_resume_inexact_are_refused(strict, option):
    with pytest.raises(GlobeError, match=option):
        callback(strict).on_train_begin(arguments(**{option: True}), state(0), None)


@pytest.mark.parametrize(("step", "steps", "processes"), [(1, 4, 1), (2, 5, 1), (2, 4, 8)])
def test_a_checkpoint_of_another_training_is_not_resumed(strict, tmp_path, step, steps, processes):
    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    mark_whole(checkpoint, 2, 4)
    steps_taken = callback(strict)
    steps_taken.on_train_begin(arguments(resume_from_checkpoint=checkpoint), state(2), None)
    resumed = arguments(resume_from_checkpoint=checkpoint, world_size=processes)
    with pytest.raises(GlobeError, match=r"step 2 of 4 \(1 processes\)"):
        steps_taken.on_train_begin(resumed, state(step, steps), None)


@pytest.mark.parametrize(("begin", "taken", "end", "whole"), [
    (0, 4, 4, True), (2, 2, 4, True), (0, 3, 4, False), (0, 3, 3, False), (2, 4, 4, False),
])  # fmt: skip
def test_every_step_is_taken_once_or_the_training_fails(strict, begin, taken, end, whole):
    counted = callback(strict)
    counted.on_train_begin(arguments(), state(begin), None)
    for _ in range(taken):
        counted.on_step_end(arguments(), state(end), None)
    if whole:
        counted.on_train_end(arguments(), state(end), None)
    else:
        with pytest.raises(GlobeError, match="some were skipped"):
            counted.on_train_end(arguments(), state(end), None)


@pytest.mark.parametrize("name", ["loss", "grad_norm", "reward"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_ends_the_training(strict, name, value):
    callback(strict).on_log(arguments(), state(3), None, logs={name: 0.5, "learning_rate": value})
    with pytest.raises(GlobeError, match=rf"the training diverged: {name} is {value} at step 3"):
        callback(strict).on_log(arguments(), state(3), None, logs={name: value})


def test_a_whole_checkpoint_is_marked(strict, tiny_model, tmp_path):
    saved = callback(strict, model=model_of(tiny_model), is_deepspeed_enabled=False)
    shutil.copytree(tiny_model, tmp_path / "checkpoint-3")
    saved.on_save(arguments(output_dir=tmp_path), state(3), None)
    assert read_mark(tmp_path / "checkpoint-3").step == 3


def test_a_checkpoint_without_all_weights_is_not_marked(strict, tiny_model, tmp_path):
    broken = without_a_key(tiny_model, tmp_path / "checkpoint-1")
    saved = callback(strict, model=model_of(tiny_model), is_deepspeed_enabled=False)
    with pytest.raises(GlobeError, match="missing key"):
        saved.on_save(arguments(output_dir=tmp_path), state(1), None)
    assert read_mark(broken) is None


def test_an_epochs_order_depends_on_seed_and_epoch_and_not_on_the_epochs_before_it_in_this_process(strict):
    def order(*epochs: float) -> list[int]:
        sampler = torch.utils.data.RandomSampler(range(20), generator=torch.Generator().manual_seed(99))
        ordered = callback(strict, **{strict.SAMPLER: sampler})
        for epoch in epochs:
            ordered.on_epoch_begin(arguments(), state(0, epoch=epoch), None)
            drawn = list(sampler)
        return drawn

    assert order(0, 1, 2) == order(2) != order(1)
    callback(strict).on_epoch_begin(arguments(), state(0, epoch=0), None)  # SFT's trainer has no sampler of ours


def test_a_row_that_cannot_be_encoded_is_named_and_no_other_takes_its_place(strict):
    def encode(row: dict) -> None:
        if row["picture"] == "torn.png":
            raise OSError("image file is truncated")

    trainer = SimpleNamespace(template=SimpleNamespace(encode=encode))
    rows = [{"picture": "a.png"}, {"picture": "b.png"}]
    assert strict.GRPOTrainer.resample_encode_failed_inputs(trainer, rows) is rows
    with pytest.raises(GlobeError, match=r"torn\.png\): image file is truncated"):
        strict.GRPOTrainer.resample_encode_failed_inputs(trainer, [*rows, {"picture": "torn.png"}])
