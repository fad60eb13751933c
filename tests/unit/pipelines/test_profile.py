"""From a profile and `--set` values to a pipeline's arguments."""

import pytest

from globe.errors import InputError
from pipelines.catalog import PIPELINES, find_pipeline
from pipelines.local.run import local_inputs
from pipelines.profile import arguments_of, load_profile

TRAINING = PIPELINES["training"]


def test_a_pipelines_defaults_give_way_to_the_profile_and_that_to_set():
    profile = load_profile("demo")
    assert arguments_of(TRAINING, profile, {})["source"] == "toy"
    assert arguments_of(TRAINING, profile, {"source": "/photos"})["source"] == "/photos"
    assert arguments_of(TRAINING, profile, {})["store"] == TRAINING.parameters().store


def test_one_entry_of_a_parameter_that_holds_several_can_be_set():
    arguments = arguments_of(TRAINING, load_profile("demo"), {"recipes.sft": "qwen2.5-vl-7b", "start_from.grpo": "/checkpoint"})
    assert arguments["recipes"]["sft"] == "qwen2.5-vl-7b"
    assert arguments["recipes"]["grpo"] == "demo"
    assert arguments["start_from"] == {"grpo": "/checkpoint"}


def test_a_recipes_value_is_an_override_beside_the_profiles():
    arguments = arguments_of(TRAINING, load_profile("smoke"), {"grpo.beta": 0.04})
    assert arguments["overrides"]["grpo.beta"] == 0.04
    assert arguments["overrides"]["sft.max_steps"] == 30


def test_setting_one_run_does_not_change_the_next():
    arguments_of(TRAINING, load_profile("8x80gb"), {"recipes.sft": "demo", "node_selectors.sft": {}})
    assert arguments_of(TRAINING, load_profile("8x80gb"), {})["recipes"]["sft"] == "qwen2.5-vl-7b"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sourc": "toy"}, "sourc"),
        ({"nostage.x": 1}, "no stage 'nostage'"),
        ({"sft_gpus": "many"}, "sft_gpus"),
        ({"recipes": "demo"}, "recipes"),
    ],
)
def test_unknown_names_and_wrong_types_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        arguments_of(TRAINING, load_profile("demo"), settings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title: x\nparameters: {sourc: toy}\n", "parameters.sourc"),
        ("title: x\nclaster: {}\n", "claster"),
        ("title: x\ncluster: {claim: Not_A_Name}\n", "cluster.claim"),
        ("title: x\ncluster: {sizes: {sft: {memory: 80GBi}}}\n", "memory"),
        ("title: x\ncluster: {sizes: {sfft: {}}}\n", "sfft"),
        ("title: x\ncluster: {secrets: [{name: s3, keys: []}]}\n", "keys"),
        (": [", "not YAML"),
    ],
)
def test_a_profile_with_a_mistake_is_refused_with_the_field(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_profile(str(path))


def test_an_unknown_profile_or_pipeline_names_those_there_are():
    with pytest.raises(InputError, match="demo"):
        load_profile("no-such")
    with pytest.raises(InputError, match="training, evaluation, curation"):
        find_pipeline("no-such")


def test_only_what_lies_on_this_machine_is_shown_to_containers(tmp_path):
    table = tmp_path / "photos" / "positions.csv"
    table.parent.mkdir()
    table.touch()
    (tmp_path / "model").mkdir()
    arguments = {"source": str(table), "base_model": "tiny", "start_from": {"sft": str(tmp_path / "model"), "grpo": "s3://b/k"}}
    assert local_inputs(arguments) == [str(tmp_path / "model"), str(tmp_path / "photos")]
