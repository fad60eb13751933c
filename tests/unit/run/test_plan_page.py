"""The plan of a run as its page shows it: each stage's recipe, GPUs and nodes, and what is expected, given or not known."""

import json
from dataclasses import replace

import pytest
from kfp_markdown import RENDERERS, is_installed, shown

from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster
from globe.run.plan_page import expected_use, plan_markdown
from globe.run.preflight import Request, check_settings
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.plan import plan as plan_training
from globe.training.shapes import known_shapes, model_shape
from globe.training.throughput import range_text
from pipelines.catalog import PIPELINES
from pipelines.profile import arguments_of, load_profile

THREE = "qwen2.5-vl-7b-three-rewards"


@pytest.fixture
def curated(tmp_path):
    for name, rows in (("sft", 20_000), ("pool", 33_721), ("reward_model", 9_000), ("test", 6_000)):
        (tmp_path / name).mkdir()
        manifest = {"rows": rows, "splits": {"train": rows}, "shards": [], "digest": "0"}
        (tmp_path / name / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "config.json").write_text(json.dumps(known_shapes()["qwen2.5-vl-7b"]))
    return str(tmp_path)


def asked(pipeline: str = "training", profile: str = "8x80gb", **settings) -> Request:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return PIPELINES[pipeline].request(arguments_of(PIPELINES[pipeline], load_profile(profile), named))


def page_of(request: Request, cluster: Cluster | None = None) -> dict[str, list[str]]:
    """The rows of the plan's table by stage."""
    text = plan_markdown(request, check_settings(request), cluster)
    rows = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return {row[0].removeprefix("| ").strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def test_each_stage_has_its_recipe_gpus_and_nodes(curated):
    rows = page_of(asked(start_from__curation=curated, base_model=curated, recipes__grpo=THREE, serving_gpus=1))
    assert list(rows) == [
        *("Source", "Curation", "SFT", "Baselines", "Reward model", "Reward service", "GRPO", "Serving", "Evaluation"),
    ]
    assert rows["Curation"][:2] == ["given", "mp16"]
    assert rows["SFT"][:4] == ["run", "qwen2.5-vl-7b", "8", "nvidia.com/gpu.product=NVIDIA-A100-SXM4-40GB"]
    assert rows["GRPO"][1:3] == [THREE, "8"]
    assert rows["Serving"][2] == rows["Baselines"][2] == rows["Reward service"][2] == "1"
    assert rows["SFT"][5] == "626"  # two epochs of 20,000 rows in batches of 64
    assert rows["GRPO"][5] == "4,151"  # 8 prompts with 16 completions each; 512 rows are held out, a last one is left out


def test_grpos_hours_and_memory_are_its_plans_and_the_reward_service_is_up_as_long(curated):
    request = asked(start_from__curation=curated, base_model=curated, recipes__grpo=THREE, grpo_gpus=8)
    recipe = load_recipe(GrpoRecipe, "grpo", THREE, {})
    alone = plan_training("grpo", recipe, model_shape("qwen2.5-vl-7b"), 8, 80, 33_721, kinds=("A100",))
    found = {one.stage: one for one in expected_use(request, check_settings(request))}
    assert (found["grpo"].steps, found["grpo"].gpu_hours) == (alone.steps, alone.gpu_hours)
    assert found["reward_service"].gpu_hours == pytest.approx([hours / 8 for hours in alone.gpu_hours])
    row = page_of(request)["GRPO"]
    assert row[4] == f"{alone.memory_gb_per_gpu['total']:.0f} of 86 GB"
    assert row[6] == range_text(*alone.gpu_hours)


def test_the_sum_is_priced_where_the_profile_has_a_price(curated):
    request = asked(start_from__curation=curated, base_model=curated)
    plan = check_settings(request)
    hours = [one.gpu_hours for one in expected_use(request, plan) if one.gpu_hours]
    low, high = (sum(one[side] for one in hours) for side in (0, 1))
    free, priced = (plan_markdown(request, plan, Cluster(gpu_hour_price=price, currency="EUR")) for price in (0, 2.5))
    total = f"- together, as far as it is known: {range_text(low, high)} GPU-hours"
    assert f"{total}\n" in free
    assert f"{total}, {range_text(2.5 * low, 2.5 * high)} EUR at 2.50 EUR a GPU-hour\n" in priced


def test_rows_of_a_source_that_is_curated_first_are_the_most_there_can_be(curated):
    rows = page_of(asked(source=f"{curated}/pool", base_model=curated))
    assert rows["GRPO"][5] == "4,151"
    assert rows["GRPO"][6].startswith("at most ")


def test_what_is_not_known_is_said_and_nothing_is_made_up():
    other = {"nvidia.com/gpu.product": "Tesla-T4"}
    request = asked(node_selectors={"sft": other, "reward_model": other, "grpo": other, "serving": {}})
    text = plan_markdown(request, check_settings(request), None)
    assert "- SFT: not known before the run: how many rows it trains on, the kind of GPU (A100, " in text
    assert {row[6] for row in page_of(request).values()} == {"", "not known"}
    assert "TFLOP" not in text
    assert "together" not in text


def test_what_is_off_or_given_asks_for_nothing(curated):
    request = asked(start_from__grpo=curated, start_from__curation=curated)
    rows = page_of(request)
    assert {name: rows[name][0] for name in ("SFT", "Reward model", "Reward service", "GRPO")} == {
        **dict.fromkeys(("SFT", "Reward model", "Reward service"), "off"),
        "GRPO": "given",
    }
    assert rows["SFT"][2:] == ["", "", "", "", ""]


def test_on_a_laptop_no_gpu_is_asked_for_and_no_hour_expected():
    request = asked(profile="demo")
    assert expected_use(request, check_settings(request)) == []
    assert {row[2] for row in page_of(request).values()} == {"", "0"}


def test_an_evaluation_shows_its_server_or_that_one_is_given():
    assert page_of(asked("evaluation"))["Serving"][:3] == ["run", "gpu", "1"]
    given = asked("evaluation", url="http://10.0.0.1:8000/v1", model_name="globe")
    assert page_of(given)["Serving"][0] == "given"
    assert expected_use(given, check_settings(given)) == []


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_the_plan_as_a_table_and_its_notes_as_lines(renderer, curated):
    request = asked(start_from__curation=curated, base_model=curated)
    plan = replace(check_settings(request), notes=("a | b <c>",))
    seen = shown(plan_markdown(request, plan, None), renderer)
    assert ["GRPO", "run", "qwen2.5-vl-7b-two-rewards", "8"] in [row[:4] for row in seen.rows]
    assert {len(row) for row in seen.rows} == {8}
    assert "a | b <c>" in seen.text
