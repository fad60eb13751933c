"""Stage reward service: the judge is served for GRPO only, and ended when GRPO has no more questions."""

import pytest
from cluster_servers import MODEL, start
from cluster_servers import place as where

from globe.data.shards import write_dataset
from globe.recipes.load import load_recipe
from globe.serving.recipe import ServingRecipe
from globe.serving.reward_service import reward_service, stop_reward_service
from globe.serving.servers import find_launcher
from globe.training.grpo import REWARD_MODEL_NAME
from globe.training.grpo_recipe import GrpoRecipe


@pytest.fixture
def service(tmp_path):
    """A function that calls the stage for a new run, with a judge or without."""

    def call(judge):
        for name in ("pool", "test"):
            write_dataset(tmp_path / "data" / name, [])
        return reward_service(
            judge=judge,
            policy=MODEL,
            data=tmp_path / "data",
            recipe_name="demo",
            recipe=load_recipe(GrpoRecipe, "grpo", "demo"),
            serving=ServingRecipe(),
            place=where("run-1", 1),
            store=tmp_path / "store",
        )

    return call


def test_without_a_reward_model_nothing_is_served(api, service, capsys):
    assert service(None) == ""
    assert api.requests == []
    assert "no reward model" in capsys.readouterr().err


def test_a_reward_model_is_served_under_the_name_that_grpo_asks_for(api, service):
    assert service(MODEL).endswith("/v1")
    (deployment,) = api.objects["deployments"].values()
    assert deployment["metadata"]["labels"]["globe.dev/model"] == REWARD_MODEL_NAME


def models_left(api):
    left = [deployment["metadata"]["labels"] for deployment in api.objects["deployments"].values()]
    return sorted((labels["globe.dev/run"], labels["globe.dev/model"]) for labels in left)


def test_only_the_reward_model_of_this_run_is_ended(api, capsys):
    one, other = where("run-1"), where("run-2")
    start(one, {REWARD_MODEL_NAME: MODEL, "grpo": MODEL})
    start(other, {REWARD_MODEL_NAME: MODEL})
    stop_reward_service(one)
    assert models_left(api) == [("run-1", "grpo"), ("run-2", REWARD_MODEL_NAME)]
    assert "served its purpose" in capsys.readouterr().err
    stop_reward_service(one)
    assert "served its purpose" not in capsys.readouterr().err


def test_only_the_asked_models_server_of_this_run_is_ended(api):
    one, other = where("run-1"), where("run-2")
    start(one, {"a": MODEL, "b": MODEL})
    start(other, {"a": MODEL})
    assert find_launcher(one).stop(only="a") == ["a"]
    assert models_left(api) == [("run-1", "b"), ("run-2", "a")]
