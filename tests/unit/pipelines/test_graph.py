from kfp import dsl

from components.base_model import base_model
from components.gate import gate
from components.promote import promote, reject
from components.teardown import teardown
from pipelines.catalog import PIPELINES
from pipelines.graph import followers
from pipelines.local.run import stages_from


def test_an_evaluations_stages_follow_each_other_as_its_first_lines_draw_them():
    found = followers(PIPELINES["evaluation"].build().pipeline_spec)
    assert list(found) == ["validate", "source", "model", "serving", "evaluation", "gate", "teardown"]
    assert {"source", "model"} <= set(found["validate"])
    assert "serving" in found["source"]
    assert "serving" in found["model"]
    assert found["serving"] == ("evaluation",)
    assert found["evaluation"] == ("gate", "teardown")  # what accepts the model, which people do not see, takes it too
    assert found["gate"] == ("teardown",)
    assert found["teardown"] == ()


def test_what_only_hands_on_is_no_stage_but_joins_those_before_and_after_it():
    found = PIPELINES["training"].followers
    assert not {"given", "join", "verdict", "stop_server"} & set(found)
    assert "grpo" in found["reward_service"]
    assert "baselines" in found["sft"]
    assert "serving" in found["grpo"]
    assert found["baselines"] == ("gate",)


def test_a_stage_comes_before_all_that_need_it():
    for pipeline in PIPELINES.values():
        order = list(pipeline.followers)
        for stage, later in pipeline.followers.items():
            assert all(order.index(stage) < order.index(name) for name in later)


def test_repeating_from_a_stage_leaves_alone_what_does_not_need_it():
    found = PIPELINES["training"].followers
    assert stages_from("grpo", found) == ["grpo", "serving", "evaluation", "gate", "promote", "teardown"]
    assert "reward_model" not in stages_from("sft", found)
    assert "baselines" in stages_from("sft", found)
    assert stages_from("validate", found) == list(found)


def test_another_graph_has_other_followers():
    @dsl.pipeline(name="small")
    def small(store: str = "/s"):
        common = {"recipes": {}, "overrides": {}, "store": store}
        with dsl.ExitHandler(teardown(cluster={}, run="r", store="s", pipeline="p", goal="gate")):
            made = base_model(base_model="tiny", **common)
            verdict = gate(evaluated=made.outputs["checkpoint"], titles={}, run="r", **common).outputs
            with dsl.If(verdict["verdict"] == "promote"):
                reject(reasons=verdict["reasons"], store=store)
                promote(
                    policy=made.outputs["checkpoint"],
                    evaluated=made.outputs["checkpoint"],
                    instead_of="",
                    gpus="0",
                    nodes={},
                    tolerations=[],
                    cluster={},
                    run="",
                    **common,
                )

    found = followers(small.pipeline_spec)
    assert found == {
        "base_model": ("gate", "promote", "teardown"), "gate": ("promote", "teardown"), "promote": ("teardown",), "teardown": (),
    }  # fmt: skip
