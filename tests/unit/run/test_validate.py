"""Stage validate: the plan of a run, with what only the cluster can tell, or one error."""

import json
from dataclasses import replace

import pytest

from globe.errors import GlobeError, InputError
from globe.keys import FORM_VARIABLE, TEACHER_KEY
from globe.recipes.load import RECIPES_FOLDER
from globe.run.preflight import Request, check_keys
from globe.run.validate import validate
from globe.storage import S3_KEYS, S3_VARIABLES

STAGES = ("source", "curation", "sft", "reward_model", "grpo", "serving", "evaluation")
DEMO = Request(
    recipes=dict.fromkeys(STAGES, "demo"),
    stages=STAGES,
    source="toy",
    teachers="simulated",
    base_model="tiny",
    train_sft=True,
    train_reward_model=True,
)


def test_an_argument_that_ms_swift_does_not_have_is_refused_before_any_stage_has_cost_anything():
    with pytest.raises(InputError, match=r"^grpo\.arguments\.weight_decai: `swift rlhf` of .*; did you mean weight_decay"):
        validate(replace(DEMO, overrides={"grpo.arguments.weight_decai": 0.1}), {})


def test_so_is_one_that_a_recipes_own_file_has(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text((RECIPES_FOLDER / "sft" / "demo.yaml").read_text() + "arguments: {neftune_noise_alfa: 5}\n")
    with pytest.raises(InputError, match=r"^sft\.arguments\.neftune_noise_alfa: `swift sft` of "):
        validate(replace(DEMO, recipes=DEMO.recipes | {"sft": str(recipe)}), {})


def test_it_asks_for_s3_keys_only_when_something_lies_on_s3(monkeypatch):
    for name in S3_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    secret = {"name": "globe-s3", "keys": list(S3_VARIABLES)}
    plan = validate(DEMO, {"secrets": [secret], "check_nodes": False})
    assert plan.notes == tuple(f"{name} is not set (key {name} of secret globe-s3)" for name in S3_KEYS)


def test_a_run_that_is_to_sign_does_not_start_without_its_key(monkeypatch):
    monkeypatch.delenv("GLOBE_SIGNING_KEY", raising=False)
    settings = {"secrets": [], "signing_secret": "ours", "check_nodes": False}
    with pytest.raises(InputError, match="GLOBE_SIGNING_KEY is not set: key GLOBE_SIGNING_KEY of secret ours is missing"):
        validate(DEMO, settings)
    monkeypatch.setenv("GLOBE_SIGNING_KEY", 64 * "a")
    assert validate(DEMO, settings).notes == ()
    monkeypatch.setenv("GLOBE_SIGNING_KEY", "short")
    with pytest.raises(InputError, match="5 characters could be guessed"):
        validate(DEMO, settings)


def test_a_laptop_is_asked_for_no_secret_and_no_node(capsys):
    plan = validate(DEMO, {})
    assert plan.notes == ()
    assert "all inputs are fine" in capsys.readouterr().err


HOSTED = replace(
    DEMO,
    source="s3://bucket/photos",
    teachers="a@https://api.example.org/v1,b@http://gpu1:8000/v1",
    recipes=DEMO.recipes | {"source": "photos"},
)


def test_a_key_without_hosts_is_told_in_one_line_before_anything_is_spent(monkeypatch):
    for name in (TEACHER_KEY.hosts_variable, FORM_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(TEACHER_KEY.variable, "planted")
    assert check_keys(HOSTED) == []  # somebody who types both means what they type
    monkeypatch.setenv(FORM_VARIABLE, "1")
    with pytest.raises(InputError, match=r"GLOBE_TEACHER_HOSTS does not name that host; .* add api\.example\.org there"):
        check_keys(HOSTED)
    inner = replace(HOSTED, teachers="a@http://gpu2:8000/v1,b@http://gpu1:8000/v1")
    assert [note.partition(":")[0] for note in check_keys(inner)] == ["GLOBE_TEACHER_API_KEY is not sent to http"] * 2
    monkeypatch.setenv(TEACHER_KEY.hosts_variable, "api.example.org")
    (note,) = check_keys(HOSTED)
    assert note.startswith("GLOBE_TEACHER_API_KEY is not sent to http://gpu1:8000/v1: GLOBE_TEACHER_HOSTS does not name")
    assert check_keys(replace(HOSTED, start_from={"curation": "s3://bucket/curated"})) == []
    monkeypatch.delenv(TEACHER_KEY.variable)
    monkeypatch.delenv(TEACHER_KEY.hosts_variable)
    assert check_keys(HOSTED) == []  # no key, nothing to tell


def test_what_is_wrong_is_told_as_the_stages_own_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    wrong = Request(**vars(DEMO) | {"recipes": DEMO.recipes | {"sft": "no-such"}})
    with pytest.raises(InputError, match="no recipe 'no-such'"):
        validate(wrong, {})
    (event,) = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert event["fault"] == "input"


RELEASING = {"secrets": [], "check_nodes": False, "release": {"name": "where"}}


def test_whose_name_a_promotion_moves_is_told_and_a_name_that_is_somebody_elses_is_refused_before_anything_is_spent(api):
    assert "the promotion moves where to the new model" in validate(DEMO, RELEASING).notes
    metadata = {"name": "where", "labels": {}}
    api.objects["services"]["where"] = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}}
    with pytest.raises(InputError, match="service where in from-context is not one of `globe deploy`"):
        validate(DEMO, RELEASING)
    only_evaluated = replace(DEMO, stages=("serving", "evaluation"), source=None, base_model=None, teachers=None)
    assert validate(only_evaluated, RELEASING).notes == ()  # which promotes nothing


@pytest.mark.parametrize("kind", ["serviceaccounts", "networkpolicies", "poddisruptionbudgets", "deployments"])
def test_an_account_that_may_not_make_a_released_model_is_told_before_anything_is_spent(api, kind):
    api.forbidden.add(kind)
    with pytest.raises(GlobeError, match=f"release: where: {kind} is forbidden.*; manifests/release gives runs that right"):
        validate(DEMO, RELEASING)


@pytest.mark.parametrize("kind", ["ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Deployment"])
def test_a_name_that_somebody_elses_account_or_policy_has_is_refused_before_anything_is_spent(api, kind):
    there = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "where", "generation": 1}, "spec": {"replicas": 0}}
    api.objects[f"{kind.lower().removesuffix('y')}{'ies' if kind.endswith('y') else 's'}"] = {"where": there}
    with pytest.raises(InputError, match=f"{kind.lower()} where in from-context is not one of `globe deploy`"):
        validate(DEMO, RELEASING)


def test_every_server_of_a_teacher_is_checked_before_the_key_is_sent(monkeypatch):
    monkeypatch.setenv(FORM_VARIABLE, "1")
    monkeypatch.setenv(TEACHER_KEY.variable, "planted")
    monkeypatch.setenv(TEACHER_KEY.hosts_variable, "first.example.org")
    replicas = replace(
        HOSTED, teachers="a@https://first.example.org/v1,a@https://second.example.org/v1,b@https://first.example.org/v1"
    )
    (note,) = check_keys(replicas)
    assert note.startswith("GLOBE_TEACHER_API_KEY is not sent to https://second.example.org/v1")
