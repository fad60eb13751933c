"""What a run is told before anything is spent."""

import os
import subprocess
import sys

import pytest

from globe.errors import InputError
from globe.run.cluster import NO_SECRET, Cluster
from globe.run.preflight import (
    GIVEN,
    OFF,
    RUN,
    Plan,
    Request,
    check,
    check_places,
    check_secrets,
    check_settings,
    needs_s3,
    s3_secret,
)

DEMO = dict.fromkeys(("source", "curation", "sft", "reward_model", "grpo", "serving", "evaluation"), "demo")
STAGES = tuple(DEMO)


def request(**values) -> Request:
    base = {
        "recipes": DEMO,
        "stages": STAGES,
        "source": "toy",
        "teachers": "simulated",
        "base_model": "tiny",
        "train_sft": True,
        "train_reward_model": True,
    }
    return Request(**base | values)


def states(plan: Plan) -> tuple[str, str, str]:
    return tuple(plan.states.values())


def test_everything_runs_when_nothing_is_given_or_switched_off():
    plan = check(request())
    assert states(plan) == (RUN, RUN, RUN)
    assert plan.notes == ()


def test_stages_can_be_switched_off():
    assert states(check(request(train_sft=False))) == (OFF, RUN, RUN)
    plan = check(request(train_reward_model=False))
    assert states(plan) == (RUN, OFF, RUN)
    assert "leaves the localizability reward out" in plan.notes[0]


def test_a_judge_that_no_reward_asks_is_not_trained():
    plan = check_settings(request(recipes=DEMO | {"grpo": "qwen2.5-vl-7b-two-rewards"}))
    assert plan.states["reward_model"] == OFF
    assert "no reward model is trained" in plan.notes[0]


def test_with_grpos_result_given_nothing_before_it_is_trained():
    plan = check_settings(request(start_from={"grpo": "/anywhere"}))
    assert states(plan) == (OFF, OFF, GIVEN)


def test_a_given_result_is_taken_instead_of_training():
    plan = check_settings(request(start_from={"sft": "/anywhere", "reward_model": "/anywhere"}))
    assert states(plan) == (GIVEN, GIVEN, RUN)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"recipes": DEMO | {"sft": "no-such"}}, "no recipe 'no-such'"),
        ({"recipes": {k: v for k, v in DEMO.items() if k != "grpo"}}, "none is named for stage grpo"),
        ({"recipes": DEMO | {"sfft": "demo"}}, "recipes: sfft"),
        ({"overrides": {"grpo.no_such": 1}}, "no_such"),
        ({"overrides": {"grpo.beta": "low"}}, "beta"),
        ({"overrides": {"grpo.rewards.acuracy": 1}}, "acuracy: no such reward; choose from accuracy,"),
        ({"overrides": {"grpo.rewards.visual": 1}}, "visual_precision is given twice"),
        ({"overrides": {"grpo.rewards.accuracy": float("inf")}}, "rewards.accuracy"),
        ({"overrides": {"grpo.rewards.accuracy": float("nan")}}, "rewards.accuracy"),
        ({"overrides": {"grpo.rewards": {"localizability": 1}}, "train_reward_model": False}, "alone needs a reward model"),
        ({"overrides": {"sft.learning_rate": float("inf")}}, "learning_rate"),
        ({"overrides": {"sft.seed": -1}}, "seed"),
        ({"overrides": {"sft.environment.NPROC_PER_NODE": "8"}}, "NPROC_PER_NODE is the field nproc_per_node"),
        ({"overrides": {"beta": 1}}, "STAGE.FIELD"),
        ({"start_from": {"gate": "/x"}}, "start_from: gate"),
        ({"node_selectors": {"gate": {}}}, "node_selectors: gate"),
        (
            {"node_selectors": {"sft": {"nvidia.com/gpu.count": 8}}},
            "node_selectors: sft: nvidia.com/gpu.count: 8: a label is a text",
        ),
        ({"node_selectors": {"sft": "a100"}}, "node_selectors: sft: 'a100': give labels"),
        ({"node_selectors": {"sft": {"gpu": "A100 80GB"}}}, "node_selectors: sft: gpu=A100 80GB: no node can have this label"),
        ({"tolerations": ["nvidia.com/gpu"]}, "tolerations[0]"),
        ({"tolerations": {"key": "gpu"}}, "give a list of Kubernetes tolerations"),
        ({"tolerations": [{"operator": "Exists"}, {"key": "gpu", "operator": "Is"}]}, "tolerations[1]: operator"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "efect": "NoSchedule"}]}, "tolerations[0]: efect"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]}, "there is no value"),
        ({"tolerations": [{"effect": "NoSchedule"}]}, "the operator must be Exists"),
        ({"gpus": {"sft": -1}}, "give 0 or more"),
        ({"source": "/photos"}, "real photos need real teachers"),
        ({"teachers": "not a teacher"}, "MODEL@URL"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(values, says):
    with pytest.raises(InputError) as raised:
        check_settings(request(**values))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_kubernetes_takes_about_nodes_is_taken():
    tolerations = [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"operator": "Exists"},
        {"key": "spot", "value": "true", "effect": "NoExecute", "tolerationSeconds": 60},
        {"key": "reserved.for/us", "operator": "Equal", "value": ""},
    ]
    labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "empty": ""}
    check_settings(request(node_selectors={"sft": labels, "serving": {}}, tolerations=tolerations))


def test_a_recipes_batch_must_go_evenly_into_the_gpus():
    recipes = DEMO | {"grpo": "qwen2.5-vl-7b-three-rewards"}
    check_settings(request(recipes=recipes, gpus={"grpo": 8}))
    check_settings(request(recipes=recipes, gpus={"grpo": 4}))
    with pytest.raises(InputError, match=r"grpo_gpus: 6 GPUs: a batch of 128 cannot be shared out evenly"):
        check_settings(request(recipes=recipes, gpus={"grpo": 6}))
    with pytest.raises(InputError, match=r"serving_gpus: 2 .*tensor_parallel_size"):
        check_settings(request(gpus={"serving": 2}))


def test_a_judge_that_is_trained_or_given_is_reward_enough():
    alone = {"grpo.rewards": {"localizability": 1}}
    assert check_settings(request(overrides=alone)).states["reward_model"] == RUN
    given = request(overrides=alone, train_reward_model=False, start_from={"reward_model": "/anywhere"})
    assert check_settings(given).states["reward_model"] == GIVEN
    assert (
        check_settings(request(overrides=alone, train_reward_model=False, start_from={"grpo": "/anywhere"})).states["grpo"]
        == GIVEN
    )


def test_a_training_run_asks_as_its_baselines_answer():
    for override in ({"evaluation.temperature": 0.7}, {"evaluation.frequency_penalty": 0.7}):
        with pytest.raises(InputError, match=r"evaluation\.\w+: the models that training starts from answer once, greedily"):
            check_settings(request(overrides=override))
    alone = Request(recipes=DEMO, stages=("source", "serving", "evaluation"), overrides={"evaluation.temperature": 0.7})
    assert check_settings(alone).states == {}


def test_places_must_be_there(tmp_path):
    (tmp_path / "model").mkdir()
    check_places(request(store=str(tmp_path / "store")))
    for values, says in [
        ({"source": str(tmp_path / "none")}, "source: "),
        ({"base_model": str(tmp_path / "none")}, "base_model: "),
        ({"base_model": str(tmp_path / "model")}, "no config.json"),
        ({"start_from": {"sft": str(tmp_path / "model")}}, "start_from sft: "),
        ({"start_from": {"curation": str(tmp_path / "none")}}, "start_from curation: "),
    ]:
        with pytest.raises(InputError) as raised:
            check_places(request(**values))
        assert says in str(raised.value)


def evaluated(**values) -> Request:
    stages = ("source", "serving", "evaluation")
    return Request(**{"recipes": DEMO, "stages": stages, "source": "toy", "base_model": "tiny"} | values)


def test_a_run_calls_its_models_what_they_are_in_it(tmp_path):
    assert check(request()).titles["policy"] == "after GRPO"
    assert check_settings(request(start_from={"grpo": "/anywhere"})).titles["policy"] == "given for GRPO"
    assert check_settings(request(start_from={"sft": "/anywhere"})).titles["start"] == "given for SFT"
    assert check(request(train_sft=False)).titles["base"] == "base model"
    assert check(evaluated(baseline="promoted")).titles == {"policy": "tiny", "baseline": "promoted model"}


def test_an_evaluation_names_its_own_parameters(tmp_path):
    for values, says in [
        ({"source": str(tmp_path / "none")}, "dataset: "),
        ({"base_model": str(tmp_path / "none")}, "model: "),
        ({"baseline": str(tmp_path)}, "baseline: "),
    ]:
        with pytest.raises(InputError) as raised:
            check(evaluated(**values))
        assert str(raised.value).startswith(says)
    (tmp_path / "result.json").write_text("{}")
    assert check(evaluated(baseline=str(tmp_path))).titles["baseline"] == str(tmp_path)


def test_an_evaluation_asks_a_server_or_a_checkpoint():
    server = {"url": "http://10.0.0.1:8000/v1", "model_name": "globe"}
    assert check(evaluated(**server, base_model=None)).titles["policy"] == "globe"
    for values, says in [
        (server | {"model_name": ""}, "model_name: missing"),
        (server | {"url": ""}, "url: missing"),
        (server | {"url": "10.0.0.1:8000"}, "url: '10.0.0.1:8000': not an http(s) URL"),
        (server | {"url": "http://me:secret@host/v1"}, "url: with a name or password before host: set GLOBE_API_KEY"),
        (server | {"promote": True}, "promote: a model behind a url cannot be promoted"),
    ]:
        with pytest.raises(InputError) as raised:
            check(evaluated(**values))
        assert str(raised.value).startswith(says)


NOTHING_ON_S3 = {"store": "/mnt/globe/store", "source": "im2gps3k@/mnt/globe/im2gps3k", "base_model": "/mnt/globe/models/a"}
ON_S3 = {
    "the store": {"store": "s3://bucket/store"},
    "the pictures": {"source": "s3://bucket/photos"},
    "a data set's place": {"source": "im2gps3k@s3://bucket/im2gps3k"},
    "the model": {"base_model": "s3://bucket/model"},
    "a given result": {"start_from": {"sft": "s3://bucket/sft"}},
    "the baseline": {"baseline": "s3://bucket/store/evaluation/0123456789abcdef"},
    "the figures": {"result": "s3://bucket/{run}.json"},
    "a recipe's value": {"overrides": {"evaluation.expected": "s3://bucket/x"}},
}


def test_a_run_with_nothing_on_s3_gets_a_secret_that_is_not_there():
    assert not needs_s3(request(**NOTHING_ON_S3))
    assert s3_secret(request(**NOTHING_ON_S3), Cluster()) == NO_SECRET
    assert s3_secret(request(store="s3://bucket/store"), None) == NO_SECRET


@pytest.mark.parametrize("values", ON_S3.values(), ids=ON_S3)
def test_one_address_on_s3_brings_its_keys_into_the_run(values):
    assert needs_s3(request(**NOTHING_ON_S3 | values))
    assert s3_secret(request(**NOTHING_ON_S3 | values), Cluster()) == "globe-s3"


def test_a_record_on_the_claim_that_leads_to_s3_brings_them_too(tmp_path, monkeypatch):
    for name, field in (("globe-checkpoint.json", "base_model"), ("globe-checkpoint.json", "start"), ("result.json", "baseline")):
        folder = tmp_path / f"{field}-{name}"
        folder.mkdir()
        given = {"start_from": {"grpo": str(folder)}} if field == "start" else {field: str(folder)}
        assert not needs_s3(request(**given))
        (folder / name).write_text('{"uri": "s3://bucket/model"}')
        assert needs_s3(request(**given))
    assert not needs_s3(request(store=str(tmp_path)))
    (tmp_path / "promoted.json").write_text('{"uri": "s3://bucket/model"}')
    assert needs_s3(request(store=str(tmp_path)))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("expected: s3://bucket/x")
    assert needs_s3(request(recipes=DEMO | {"evaluation": str(recipe)}))
    monkeypatch.setenv("GLOBE_DATASETS", "s3://bucket/sets")
    assert needs_s3(request())


def test_a_missing_secret_is_named_and_a_present_one_never_shown(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    expected = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "globe-s3")
    with pytest.raises(InputError, match="key AWS_SECRET_ACCESS_KEY of secret globe-s3") as raised:
        check_secrets(expected, list(expected))
    assert "planted" not in str(raised.value)
    (note,) = check_secrets(expected, [])
    assert "planted" not in note


def test_the_check_imports_nothing_that_an_image_without_torch_lacks():
    code = (
        "import sys, globe.run.preflight; print(any(name in sys.modules for name in ('torch', 'swift', 'transformers', 'kfp')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "False", done.stderr


def test_a_test_set_that_is_not_there_is_told_whoever_the_teachers_are():
    values = {"overrides": {"curation.test_sets": ["/nowhere"]}}
    for teachers in ("simulated", "a@http://h/v1,b@http://h/v1"):
        with pytest.raises(InputError, match="test_sets: /nowhere: no such folder or table"):
            check_settings(request(teachers=teachers, **values))
