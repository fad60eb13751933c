"""The judge: merged it answers as with its adapter, and its verdicts are counted for either class."""

import io
import math
from itertools import pairwise

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from globe.data.rows import Row
from globe.models.weights import add_adapter, load_model
from globe.training import judge
from globe.training.adapters import merge_adapter
from globe.training.judge import judge_accuracy


def row(number: int, localizable: bool) -> Row:
    file = io.BytesIO()
    Image.new("RGB", (56, 56), (20 * number, 90, 0)).save(file, "PNG")
    place = {"lat_deg": 48.9, "lon_deg": 2.4, "country": "France", "city": "Paris"}
    reasoning = ", ".join(["red earth"] * (1 + number % 3))  # of several lengths, so that a batch is padded
    return Row(id=f"{number}", image=file.getvalue(), split="test", reasoning=reasoning, localizable=localizable, **place)


ROWS = [row(number, localizable=number < 3) for number in range(5)]


def test_a_merged_model_answers_as_the_base_with_its_adapter_and_has_its_processor(tiny_model, tmp_path):
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(load_model(tiny_model), LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    merge_adapter(tiny_model, tmp_path / "adapter", tmp_path / "merged")

    tokens = AutoProcessor.from_pretrained(tmp_path / "merged").tokenizer("red earth, palms", return_tensors="pt")
    with torch.inference_mode():
        base = load_model(tiny_model)(**tokens).logits
        expected = add_adapter(load_model(tiny_model), tmp_path / "adapter")(**tokens).logits
        merged = load_model(tmp_path / "merged")(**tokens).logits
    assert not torch.allclose(base, expected, atol=1e-2)
    assert torch.allclose(merged, expected, atol=1e-4)


def test_a_verdict_does_not_depend_on_the_rows_that_it_is_asked_with(tiny_model, monkeypatch):
    model = load_model(tiny_model)
    together = judge_accuracy(model, tiny_model, ROWS, max_pixels=3136)
    monkeypatch.setattr(judge, "rows_at_once", lambda *_: 1)
    alone = judge_accuracy(model, tiny_model, ROWS, max_pixels=3136)
    assert together.pop("roc") == alone.pop("roc")
    assert together.pop("confusion") == alone.pop("confusion")
    assert together == {name: pytest.approx(value, abs=1e-5) for name, value in alone.items()}
    assert (alone["n"], alone["positives"]) == (5, 3)


def test_no_rows_give_no_figures(tiny_model):
    assert judge_accuracy(load_model(tiny_model), tiny_model, [], max_pixels=3136) == {"n": 0}


def test_a_judge_that_always_says_yes_is_right_for_the_commoner_class_and_no_better_than_chance():
    figures = judge._agreement([0.9, 0.8, 0.7, 0.6], [True, True, True, False])
    assert figures == {
        "n": 4,
        "positives": 3,
        "accuracy": 0.75,
        "balanced_accuracy": 0.5,
        "mean_p_yes_localizable": pytest.approx(0.8),
        "mean_p_yes_unlocalizable": 0.6,
        "confusion": [[3, 0], [1, 0]],
        "roc": judge.roc([0.9, 0.8, 0.7, 0.6], [True, True, True, False]),
    }


def test_counts_are_by_verdict_and_by_what_the_judge_said():
    said, truth = [0.9, 0.6, 0.5, 0.2, 0.7, 0.1], [True, True, True, True, False, False]
    assert judge.confusion(said, truth) == [[2, 2], [1, 1]]


def test_the_roc_leads_from_none_to_all_and_its_area_is_the_share_of_pairs_in_order():
    said = [0.93, 0.81, 0.55, 0.42, 0.77, 0.31, 0.12]
    truth = [True, True, True, False, False, False, False]
    points = judge.roc(said, truth)
    assert points[0][:2] == [0, 0]
    assert points[-1] == [1, 1, 0]
    assert all(math.isfinite(value) for point in points for value in point)
    assert [point[2] for point in points] == sorted((point[2] for point in points), reverse=True)
    pairs = [(a, b) for a, yes in zip(said, truth, strict=True) if yes for b, no in zip(said, truth, strict=True) if not no]
    area = sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(points))
    assert area == pytest.approx(sum(a > b for a, b in pairs) / len(pairs))


def test_of_one_class_alone_nothing_is_said_of_the_other():
    figures = judge._agreement([0.2, 0.6], [False, False])
    assert (figures["balanced_accuracy"], figures["mean_p_yes_localizable"]) == (0.5, None)
    assert (figures["confusion"], figures["roc"]) == ([[0, 0], [1, 1]], [])
