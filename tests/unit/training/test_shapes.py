"""Parameters counted from a config.json are those of the model that transformers builds from it."""

import json
import os

import pytest

from globe.errors import InputError
from globe.training.shapes import known_shapes, model_shape, shape_of, usual_shape

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def on_meta(config):
    """The model of a config.json, without memory for its weights."""
    import torch
    from transformers import (
        InternVLConfig,
        InternVLForConditionalGeneration,
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
    )

    content = json.loads(json.dumps(config))
    kind = content.pop("model_type")
    classes = {
        "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
        "internvl": (InternVLConfig, InternVLForConditionalGeneration),
    }
    with torch.device("meta"):
        return classes[kind][1](classes[kind][0](**content))


def parameters(module) -> int:
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("name", known_shapes())
def test_a_shipped_shape_has_as_many_parameters_as_the_model_built_from_it(name):
    built, shape = on_meta(known_shapes()[name]), model_shape(name)
    assert shape.parameters == parameters(built)
    output = 0 if shape.text.tied else parameters(built.lm_head)
    assert shape.text.parameters == parameters(built.model.language_model) + output


def test_the_published_size_is_that_of_the_published_weights():
    """By the index of the safetensors of Qwen2.5-VL-7B-Instruct, in bfloat16."""
    assert 2 * model_shape("qwen2.5-vl-7b").parameters == 16_584_333_312


@pytest.mark.parametrize("name", known_shapes())
def test_adapters_are_counted_as_on_the_linear_layers_of_the_model(name):
    import torch

    built, shape = on_meta(known_shapes()[name]), model_shape(name)

    def adapters(module) -> int:
        linear = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
        return 16 * sum(layer.in_features + layer.out_features for layer in linear)

    whole = adapters(built) - adapters(torch.nn.ModuleList([built.lm_head]))
    text = adapters(built.model.language_model)
    assert shape.text.adapters(16) == text
    assert shape.vision.adapters(16, shape.text.hidden) == whole - text


def test_the_demos_shape_is_that_of_its_model(tiny_model):
    found, shipped = model_shape(str(tiny_model)), model_shape("tiny")
    assert found.vision == shipped.vision
    assert found.parameters == pytest.approx(shipped.parameters, rel=0.05)  # its vocabulary grows with the demo's texts


def test_a_recipe_says_which_shape_it_was_written_for():
    assert usual_shape("qwen2_5_vl", "qwen2.5-vl-7b-three-rewards").name == "qwen2.5-vl-7b"
    assert usual_shape("qwen2_5_vl", "1x24gb-3b").name == "qwen2.5-vl-3b"
    assert usual_shape("internvl", "internvl3-8b").name == "internvl3-8b"
    assert usual_shape("qwen2_5_vl", "demo").name == "tiny"
    with pytest.raises(InputError, match="no shape of llava is known"):
        usual_shape("llava", "mine")


def test_a_config_that_says_too_little_or_something_else_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="no config"):
        model_shape(str(tmp_path))
    with pytest.raises(InputError, match=r"is of llava; plans know qwen2_5_vl and internvl"):
        shape_of("mine", {"model_type": "llava"})
    config = json.loads(json.dumps(known_shapes()["qwen2.5-vl-7b"]))
    del config["text_config"]["intermediate_size"]
    with pytest.raises(InputError, match="lacks 'intermediate_size'"):
        shape_of("mine", config)


def test_an_older_config_has_the_language_models_numbers_beside_the_vision_config():
    config = json.loads(json.dumps(known_shapes()["qwen2.5-vl-7b"]))
    flat = config | config.pop("text_config")
    assert shape_of("old", flat).parameters == model_shape("qwen2.5-vl-7b").parameters
