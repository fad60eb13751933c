"""From a profile and `--set` values to a pipeline's arguments."""

import re

import pytest

from globe.errors import InputError
from globe.run.preflight import check_settings
from pipelines.catalog import PIPELINES, find_pipeline
from pipelines.local.run import local_inputs
from pipelines.profile import arguments_of, load_profile, overrides_named, parse_settings

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
        ("title: x\nparameters: {sft_gpus: many}\n", r"mine\.yaml: parameters\.sft_gpus: Input should be a valid integer"),
        ("title: x\nparameters: {annotators: [1]}\n", r"mine\.yaml: parameters\.annotators: Input should be a valid integer"),
        ("title: x\nparameters: {recipes: demo}\n", r"mine\.yaml: parameters\.recipes: "),
        ("title: x\nclaster: {}\n", "claster"),
        ("title: x\ncluster: {claim: Not_A_Name}\n", "cluster.claim"),
        ("title: x\ncluster: {sizes: {sft: {memory: 80GBi}}}\n", "memory"),
        ("title: x\ncluster: {sizes: {sfft: {}}}\n", "cluster: sizes: no task 'sfft'; choose from validate, "),
        ("title: x\ncluster: {secrets: [{name: s3, keys: [A], stages: [sfft]}]}\n", "cluster: secrets: no task 'sfft'; choose"),
        ("title: x\ncluster: {server_image: mine}\n", r"images/pins\.yaml names all images"),
        ("title: x\ncluster: {secrets: [{name: s3, keys: []}]}\n", "keys"),
        (": [", "not YAML"),
        ("title: 2024-13-45", "not YAML"),
    ],
)
def test_a_profile_with_a_mistake_is_refused_with_the_field(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_profile(str(path))


IN_CLUSTER = [
    ("queue: My Queue", "cluster.queue"),
    (f"queue: {'q' * 64}", "cluster.queue"),
    ("gpu_resource: nvidia gpu", "cluster.gpu_resource"),
    ("mount_path: '/mnt/my data'", "cluster.mount_path"),
    ("mount_path: /mnt/../etc", "cluster.mount_path"),
    ("gpu_hour_price: -1", "cluster.gpu_hour_price"),
    ("gpu_hour_price: .nan", "cluster.gpu_hour_price: Input should be a finite number"),
    ("gpu_hour_price: .inf", "cluster.gpu_hour_price: Input should be a finite number"),
    ("server_schedule_timeout_s: .inf", "cluster.server_schedule_timeout_s: Input should be a finite number"),
    ("currency: '<b>|`'", "cluster.currency"),
    ("currency: '  '", "cluster.currency"),
    ("ttl_s: 99999999999", "cluster.ttl_s"),
    ("deadline_s: 99999999999", "cluster.deadline_s"),
    ("sizes: {sft: {memory: 64 GB}}", "cluster.sizes.sft.memory: '64 GB' is no quantity .* 64Gi"),
    ("sizes: {sft: {memory: 0}}", "cluster.sizes.sft.memory: '0' is no quantity"),
    ("sizes: {sft: {retries: 1000000}}", "cluster.sizes.sft.retries"),
    ("secrets: [{name: a, keys: [A KEY]}]", "cluster.secrets.0.keys.0"),
    ("secrets: [{name: a, keys: [GLOBE_RUN_ID]}]", "secrets: a: key GLOBE_RUN_ID would replace .* every pod is given"),
    ("secrets: [{name: a, keys: [GLOBE_SIGNED]}]", "secrets: a: key GLOBE_SIGNED would replace .* every pod is given"),
    (
        "{secrets: [{name: a, keys: [GLOBE_SIGNING_KEY]}], signing_secret: b}",
        "key GLOBE_SIGNING_KEY would replace .* a fills, too",
    ),
    ("secrets: [{name: a, keys: [X]}, {name: b, keys: [X], stages: [sft]}]", "secrets: b: key X would replace .* a fills, too"),
]


@pytest.mark.parametrize(("line", "says"), IN_CLUSTER)
def test_what_no_cluster_takes_is_refused_by_field_and_not_in_the_middle_of_a_run(tmp_path, line, says):
    (tmp_path / "mine.yaml").write_text(f"title: x\ncluster:\n  {line}\n")
    with pytest.raises(InputError, match=says):
        load_profile(str(tmp_path / "mine.yaml"))


def test_a_number_is_a_quantity_and_two_stages_may_have_the_same_variable_from_different_secrets(tmp_path):
    text = "sizes: {sft: {cpu: 16, memory: 1.5Gi}}, queue: null, secrets: ["
    text += "{name: a, keys: [X], stages: [sft]}, {name: b, keys: [X], stages: [grpo]}]"
    (tmp_path / "mine.yaml").write_text(f"title: x\ncluster: {{{text}}}\n")
    cluster = load_profile(str(tmp_path / "mine.yaml")).cluster
    assert (cluster.sizes["sft"].cpu, cluster.sizes["sft"].memory, cluster.queue) == ("16", "1.5Gi", "")


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


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sft_gpus": "many"}, r"^--set sft_gpus: Input should be a valid integer"),
        ({"sourc": "toy"}, r"^--set sourc: Extra inputs"),
    ],
)
def test_what_was_set_wrongly_is_named_as_it_was_set(settings, says):
    with pytest.raises(InputError, match=says):
        arguments_of(TRAINING, load_profile("demo"), settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [({}, "mine.yaml: parameters.overrides.sft.max_steps: "), ({"sft.max_steps": "few"}, "--set sft.max_steps: ")],
)
def test_a_wrong_override_is_the_profiles_or_that_of_set(tmp_path, settings, says):
    own = tmp_path / "mine.yaml"
    own.write_text("title: x\nparameters: {overrides: {sft.max_steps: many}}\n")
    arguments = arguments_of(TRAINING, load_profile(str(own)), settings)
    with pytest.raises(InputError, match=re.escape(says)), overrides_named(str(own), settings):
        check_settings(TRAINING.request(arguments))


def test_a_text_that_looks_like_something_else_stays_a_text():
    assert parse_settings(TRAINING, ["source=2024", "start_from.sft=~", "recipes.sft=7", "sft_gpus=2", "grpo.beta=0"]) == {
        "source": "2024",
        "start_from.sft": "~",
        "recipes.sft": "7",
        "sft_gpus": 2,
        "grpo.beta": 0,
    }


@pytest.mark.parametrize("key", ["source", "recipes.sft", "start_from.grpo", "base_model"])
def test_a_value_that_is_missing_is_said_to_be_missing(key):
    with pytest.raises(InputError, match=f"^--set {key}=: the value is missing"):
        parse_settings(TRAINING, [f"{key}="])


def test_no_baseline_and_no_result_are_something_to_ask_for():
    assert parse_settings(PIPELINES["evaluation"], ["baseline=", "result="]) == {"baseline": "", "result": ""}


def test_a_run_is_called_one_on_a_toy_world_only_where_it_is():
    demo = load_profile("demo")
    for name, key in (("training", "source"), ("evaluation", "dataset")):
        pipeline = PIPELINES[name]
        titles = [pipeline.run_title(demo.title, arguments_of(pipeline, demo, {key: value})) for value in ("toy", "/photos")]
        assert ["toy" in title for title in titles] == [True, False]
