"""The tiny Qwen2.5-VL, loaded as any checkpoint is."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from globe.answer.parse import parse
from globe.answer.prompt import PROMPT
from globe.answer.render import render
from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from globe.demo.tiny_model import PICTURE_TOKENS, SYSTEM, build_tiny_model, demo_texts
from globe.rewards.localizability import QUESTION


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, Any]:
    return build_tiny_model(folder, demo_texts())


@pytest.fixture(scope="module")
def loaded(folder: Path, built: dict[str, Any]) -> tuple[Any, Any]:
    return AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder)


def test_it_has_one_to_two_million_parameters_and_takes_less_than_10_mb(built: dict[str, Any]) -> None:
    assert 1_000_000 <= built["parameters"] <= 2_000_000
    assert built["bytes"] < 10_000_000


def test_the_same_seed_writes_the_same_bytes_and_leaves_the_callers_randomness_alone(
    folder: Path, built: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    build_tiny_model(tmp_path / "again", demo_texts())
    assert torch.equal(torch.rand(1), expected)
    assert _digests(tmp_path / "again") == _digests(folder)
    build_tiny_model(tmp_path / "other", demo_texts(), seed=1)
    changed = {name for name, digest in _digests(tmp_path / "other").items() if digest != _digests(folder)[name]}
    assert changed == {"model.safetensors"}


def test_it_is_the_real_architecture_under_the_real_names(loaded: tuple[Any, Any]) -> None:
    processor, model = loaded
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    text = model.config.text_config
    width = text.hidden_size // text.num_attention_heads
    assert width == 32
    assert sum(text.rope_parameters["mrope_section"]) == width // 2


def test_a_reply_takes_few_tokens_and_comes_back_unchanged(loaded: tuple[Any, Any]) -> None:
    tokenizer = loaded[0].tokenizer
    for city in all_cities():
        assert len(tokenizer(city.reasoning)["input_ids"]) <= 16
        reply = render(city.reasoning, city.country, city.name)
        ids = tokenizer(reply)["input_ids"]
        assert len(ids) <= 30
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert decoded == reply
        assert (parse(decoded).country, parse(decoded).city) == (city.country, city.name)


def test_yes_and_no_are_one_token_each(loaded: tuple[Any, Any]) -> None:
    tokenizer = loaded[0].tokenizer
    assert [len(tokenizer(word)["input_ids"]) for word in ("yes", "no", " yes", " no")] == [1, 1, 1, 1]


def test_any_text_survives_the_tokenizer(loaded: tuple[Any, Any]) -> None:
    tokenizer = loaded[0].tokenizer
    for text in ("Zürich, 東京, Österreich 🌍", "don't  stop\n\n x", "<think>ça</think>", QUESTION):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_chat_template_is_that_of_qwen(loaded: tuple[Any, Any]) -> None:
    text = _prompt(loaded[0], PROMPT)
    assert text == (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
        f"{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    )
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    rendered = loaded[0].apply_chat_template(turns, tokenize=False)
    assert rendered == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"


@pytest.mark.parametrize("size", [(56, 56), (640, 480), (20, 90)])
def test_a_picture_of_any_size_becomes_few_tokens_and_an_answer_is_generated(
    loaded: tuple[Any, Any], size: tuple[int, int]
) -> None:
    processor, model = loaded
    picture = draw_scene(all_cities()[0], 0).resize(size)
    inputs = processor(text=[_prompt(processor, PROMPT)], images=[picture], return_tensors="pt")
    pads = (inputs["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum()
    assert 1 <= int(pads) <= 6
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=4)
    assert out.shape[1] > inputs["input_ids"].shape[1]


def test_picture_tokens_are_never_generated(loaded: tuple[Any, Any]) -> None:
    processor, model = loaded
    ids = {processor.tokenizer.convert_tokens_to_ids(token) for token in PICTURE_TOKENS}
    assert ids <= set(model.generation_config.suppress_tokens)
    inputs = processor(text=[_prompt(processor, "?")], images=[draw_scene(all_cities()[0], 0)], return_tensors="pt")
    torch.manual_seed(0)
    out = model.generate(**inputs, do_sample=True, top_k=0, num_return_sequences=16, max_new_tokens=24)
    assert not ids & set(out[:, inputs["input_ids"].shape[1] :].flatten().tolist())


def _prompt(processor: Any, text: str) -> str:
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
    return str(processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False))


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
