"""A model with a vocabulary of its own has its pictures found by ms-swift."""

import pytest
from PIL import Image


@pytest.fixture
def template(tiny_model, monkeypatch):
    swift = pytest.importorskip("swift", reason="needs the train extra")
    monkeypatch.setenv("USE_HF", "1")
    from globe.training import swift_template  # noqa: F401 - it is in force from here on, as in a training

    _, processor = swift.get_model_processor(str(tiny_model), model_type="qwen2_5_vl", load_model=False)
    return swift.get_template(processor, template_type="qwen2_5_vl")


def test_a_picture_becomes_its_tokens_between_those_of_the_text(template):
    token = template.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    picture = Image.new("RGB", (56, 56), (200, 40, 40))
    encoded = template.encode({"messages": [{"role": "user", "content": "<image>red roofs"}], "images": [picture]})
    assert token != 151655  # the published checkpoints' number, which ms-swift would look for
    assert encoded["input_ids"].count(token) == 4
    assert encoded["pixel_values"].shape[0] == 16
