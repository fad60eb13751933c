"""What a plan refuses, with the reason, and what it says of a training that fits."""

import pytest

from globe.recipes.load import load_recipe
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.lengths import longest
from globe.training.plan import plan
from globe.training.plan_table import plan_lines
from globe.training.recipe import SftRecipe
from globe.training.shapes import model_shape
from globe.training.throughput import CARDS

SEVEN = model_shape("qwen2.5-vl-7b")
SHARED = {"deepspeed": "zero3", "nproc_per_node": 8}
ROWS = 33_721


def sft(gpus=8, card=40.0, **changes):
    named = {key: value for key, value in changes.items() if key in SftRecipe.model_fields}
    more = {key: value for key, value in changes.items() if key not in named}
    return plan("sft", load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b", SHARED | named), SEVEN, gpus, card, ROWS, **more)


def grpo(gpus=8, card=80.0, **changes):
    named = {key: value for key, value in changes.items() if key in GrpoRecipe.model_fields}
    more = {key: value for key, value in changes.items() if key not in named}
    recipe = load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", SHARED | named)
    return plan("grpo", recipe, SEVEN, gpus, card, ROWS, **more)


def test_the_papers_settings_fit_the_papers_machines():
    assert sft().reasons == grpo().reasons == ()
    assert sft().fits
    assert (sft().gpu_memory_gb, grpo().gpu_memory_gb) == pytest.approx((42.9, 85.9), abs=0.1)


def test_full_fine_tuning_without_zero_is_refused_with_what_would_help():
    (reason,) = sft(deepspeed=None).reasons
    assert reason.startswith("memory: ")
    assert "above 92%" in reason
    assert "set deepspeed=zero3" in reason


def test_the_parts_add_up_to_the_total_that_is_compared_with_the_card():
    for made in (sft(), grpo(), grpo(sleep_level=1)):
        parts = dict(made.memory_gb_per_gpu)
        total = parts.pop("total")
        assert sum(parts.values()) == pytest.approx(total, abs=1e-4)
        assert total == pytest.approx(max(made.phases_gb.values()), abs=1e-4)
        assert total <= 0.92 * made.gpu_memory_gb


def test_a_card_is_refused_just_where_92_percent_of_it_are_taken():
    needed = sft().memory_gb_per_gpu["total"]
    assert sft(card=needed / 0.92 / 1.0737 * 1.01).fits
    assert not sft(card=needed / 0.92 / 1.0737 * 0.99).fits


def test_a_picture_and_its_prompt_beyond_what_trainer_engine_or_server_hold_are_refused():
    (trainer, engine, *_) = grpo(max_pixels=784 * 3826).reasons
    assert trainer.startswith("max_length: 3,826 image tokens + ")
    assert engine.startswith("vllm_max_model_len: 3,826 image tokens + ")
    most = longest(load_recipe(GrpoRecipe, "grpo", "qwen2.5-vl-7b-two-rewards", SHARED), SEVEN).total
    assert grpo(serving=("mine", most)).fits
    (server,) = grpo(serving=("mine", most - 1)).reasons
    assert server.startswith("max_model_len of serving recipe mine: 1,280 image tokens + ")
    assert any(reason.startswith("max_length") for reason in sft(max_pixels=784 * 3826).reasons)


def test_an_engine_without_room_for_its_weights_is_refused_and_so_is_one_that_leaves_none():
    (small,) = grpo(vllm_gpu_memory_utilization=0.2).reasons
    assert small.startswith("rollout memory: vllm_gpu_memory_utilization 0.2 of")
    (large,) = grpo(vllm_gpu_memory_utilization=0.7).reasons
    assert "above 92%" in large
    assert "rollout engine" in large


def test_a_disk_without_room_for_the_checkpoints_is_refused():
    assert sft().disk_gb == pytest.approx(324, abs=1)
    assert sft(free_disk_gb=325).fits
    (reason,) = sft(free_disk_gb=323).reasons
    assert reason.startswith("disk: two checkpoints and one being written take 323.9 GB, and 323.0 GB are free")
    (measured,) = grpo(free_disk_gb=431, eval_rows=8).reasons
    assert measured.startswith("disk: two checkpoints, the best measured one and one being written take 431.9 GB")


def test_machines_without_the_memory_that_the_processes_take_are_refused_with_what_takes_less():
    asleep = grpo(sleep_level=1)
    needed = asleep.host_memory_gb  # 8 x 4 GB, and 8 engines' weights of 16.6 GB
    assert needed == pytest.approx(165, abs=1)
    assert grpo(sleep_level=1, host_memory_gb=needed + 0.1).fits
    (reason,) = grpo(sleep_level=1, host_memory_gb=needed - 0.1).reasons
    assert reason.startswith(f"host memory: 8 processes take {needed} GB")
    assert "sleep_level" in reason
    (plain,) = sft(host_memory_gb=31).reasons
    assert plain.endswith("and 31.0 GB are there (cluster: sizes, memory); give more")


def test_fewer_gpus_than_processes_get_the_same_batch_and_it_is_said_or_it_is_refused():
    fewer = sft(gpus=4, card=80.0)
    assert fewer.fits
    assert (fewer.processes, fewer.gradient_accumulation_steps, fewer.global_batch) == (4, 4, 64)
    assert "on 4: 4 processes, gradient_accumulation_steps 4," in fewer.notes[0]
    assert fewer.memory_gb_per_gpu["optimizer"] == pytest.approx(2 * sft().memory_gb_per_gpu["optimizer"])
    (reason, *_) = sft(gpus=3, card=80.0).reasons
    assert reason.startswith("3 GPUs: a batch of 64 cannot be shared out evenly")


def test_without_rows_or_a_card_what_is_not_known_is_said():
    recipe = load_recipe(SftRecipe, "sft", "qwen2.5-vl-7b", SHARED)
    made = plan("sft", recipe, SEVEN)
    assert (made.steps, made.hours, made.fits) == (None, None, True)
    assert "steps are not known without rows (--data); 1,000 rows make 32" in made.notes
    assert any("give --gpu-memory-gb" in note for note in made.notes)
    odd = plan("sft", recipe, SEVEN, 8, 32.0, ROWS)
    assert any(f"rates are known of {', '.join(CARDS)} only" in note for note in odd.notes)


def test_hours_are_steps_times_seconds_and_the_table_shows_them_with_what_is_assumed():
    made = grpo()
    assert made.steps == (ROWS - 512) // 8  # eight prompts a step, and 512 rows to measure on
    assert made.hours == pytest.approx([made.steps * seconds / 3600 for seconds in made.step_s])
    assert made.gpu_hours == pytest.approx([8 * hours for hours in made.hours])
    text = "\n".join(plan_lines(made))
    for said in ("4,151", "A100 140 TFLOP/s", "rollout engine", "fits              yes"):
        assert said in text
    assert "reason            memory: " in "\n".join(plan_lines(sft(deepspeed=None)))


def test_the_reason_names_what_would_help_with_the_part_that_takes_most():
    (of_the_model,) = sft(gpus=2, card=80.0).reasons
    assert "most of it: optimizer" in of_the_model
    assert of_the_model.endswith("tuner_type=lora, deepspeed=null")
    adapters = {"tuner_type": "lora", "deepspeed": None, "gradient_accumulation_steps": 16, "nproc_per_node": 1}
    assert sft(gpus=1, card=80.0, **adapters).fits
    (_, of_the_answers) = grpo(max_completion_length=8192, serving=("mine", 4096)).reasons
    assert "most of it: logits" in of_the_answers
    assert "max_completion_length" in of_the_answers.rpartition(";")[2]


def test_a_plan_for_a_cpu_knows_nothing_of_cards_and_one_that_cannot_be_shared_out_says_for_what_its_figures_are():
    demo = load_recipe(SftRecipe, "sft", "demo")
    made = plan("sft", demo, model_shape("tiny"), 1, 80.0)
    assert (made.gpus, made.gpu_memory_gb, made.kinds, made.hours) == (0, 0, (), None)
    assert sft(gpus=3, card=80.0).notes[0] == "all but the reason is for 8 GPUs, as the recipe was written"
    assert "1 process x 32" in "\n".join(plan_lines(made))
