"""`globe sft`, `reward-model` and `grpo`: what they refuse before anything is trained."""

import json
import shutil
from pathlib import Path

import pytest
from cli_inputs import picture
from command_line import globe, refused
from recorder import recorder

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.demo.places import all_cities
from globe.run import gpus
from globe.training import by_hand


def test_a_reward_service_that_is_not_there_is_told_before_anything_is_trained(model, tmp_path):
    asked = ["--recipe", "demo", "--data", str(tmp_path), "--model", "tiny", "--out", str(tmp_path / "out")]
    refused(globe("grpo", *asked, "--reward-model", str(tmp_path), "--reward-url", model.url), "no model 'reward_model' there")
    assert not (tmp_path / "out").exists()


def test_a_key_is_not_sent_over_plain_http_to_a_reward_service_far_off(model, tmp_path, monkeypatch):
    model.name, given = "reward_model", []
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    trained = {"reused": False, "steps": 0, "checkpoint": ""}
    monkeypatch.setattr(by_hand, "grpo_by_hand", lambda **inputs: given.append(inputs["reward_key"]) or trained)
    asked = ["--recipe", "demo", "--data", str(tmp_path), "--model", "tiny", "--out", str(tmp_path / "out")]
    globe("grpo", *asked, "--reward-model", str(tmp_path), "--reward-url", model.url)
    with recorder(200, body='{"data": [{"id": "reward_model"}]}') as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        globe("grpo", *asked, "--reward-model", str(tmp_path), "--reward-url", "http://judge.example/v1")
    assert given == ["sk-secret-123", ""]


THREE = ["grpo", "--recipe", "qwen2.5-vl-7b-three-rewards", "--plan", "--json"]


def test_a_plan_needs_neither_data_nor_model_and_says_what_it_would_run():
    done = globe(*THREE, "--gpus", "8", "--gpu-memory-gb", "80")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert (plan["fits"], plan["reasons"], plan["model"]) == (True, [], "qwen2.5-vl-7b")
    parts = plan["memory_gb_per_gpu"]
    assert sum(size for part, size in parts.items() if part != "total") == pytest.approx(parts["total"], abs=1e-4)
    assert plan["steps"] is None
    assert any("without rows (--data)" in note for note in plan["notes"])
    assert plan["arguments"]["rlhf_type"] == "grpo"
    assert plan["deepspeed"].endswith("zero3.json")
    assert plan["disk_gb"] > 300
    assert plan["host_memory_gb"] > 0


def test_what_does_not_fit_ends_with_2_and_the_reason_and_json_is_printed_all_the_same():
    asked = ["sft", "--recipe", "qwen2.5-vl-7b", "--gpus", "8", "--gpu-memory-gb", "40", "--set", "deepspeed=null", "--plan"]
    done = globe(*asked, "--json")
    assert done.returncode == 2
    plan = json.loads(done.stdout)
    assert plan["fits"] is False
    assert plan["reasons"][0] in done.stderr
    table = globe(*asked)
    assert table.returncode == 2
    assert plan["reasons"][0] in table.stdout


def test_a_batch_that_the_groups_do_not_divide_is_refused_in_json_too():
    done = globe(*THREE, "--set", "num_generations=7")
    assert done.returncode == 2
    plan = json.loads(done.stdout)
    assert plan["fits"] is False
    assert "num_generations (7)" in plan["reasons"][0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--gpu-memory-gb", "inf"], "--gpu-memory-gb inf: give the GB of a card's name"),
        (["--out", __file__], "cannot be written to"),
        (["--set", "per_device_batch_size=4"], "--set per_device_batch_size: "),
        (["--set", "async_generate=true"], "--set async_generate: async_generate (true) needs vllm_mode server"),
        (["--set", "arguments.weight_decai=0.1"], "arguments.weight_decai: `swift rlhf` of ms-swift 4.6.0 has no such argument"),
        (["--model", "internvl3-8b"], "model_type: the recipe trains qwen2_5_vl, and internvl3-8b is internvl"),
    ],
)
def test_what_a_plan_is_wrongly_asked_is_one_line_and_one_json_document(given, says):
    done = globe(*THREE, *given)
    assert done.returncode == 2
    assert says in json.loads(done.stdout)["reasons"][0]
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_gpus_that_a_training_cannot_fit_are_refused_before_anything_is_trained(tmp_path):
    write_dataset(tmp_path / "data" / "sft", [])
    asked = ["--data", str(tmp_path / "data"), "--model", "qwen2.5-vl-7b", "--out", str(tmp_path / "out")]
    refused(globe("sft", "--recipe", "qwen2.5-vl-7b", "--gpus", "3", *asked), "cannot be shared out evenly")
    assert not (tmp_path / "out").exists()


def test_with_rows_and_a_model_the_plan_counts_steps_and_the_longest_rows_own_tokens(tmp_path, tiny_model):
    cities = list(all_cities())[:5]
    places = [{"country": city.country, "city": city.name, "reasoning": city.reasoning} for city in cities]
    rest = {"image": b"a picture", "lat_deg": 0.0, "lon_deg": 0.0, "split": "train"}
    write_dataset(tmp_path / "data" / "sft", [Row(id=str(number), **place, **rest) for number, place in enumerate(places)])
    asked = ["sft", "--recipe", "demo", "--data", str(tmp_path / "data"), "--model", str(tiny_model), "--plan", "--json"]
    asked += ["--set", "max_steps=-1", "--set", "num_train_epochs=2", "--set", "per_device_train_batch_size=2"]
    plan = json.loads(globe(*asked, "--out", str(tmp_path / "out")).stdout)
    assert (plan["rows"], plan["steps"], plan["gpus"]) == (5, 6, 0)  # two epochs of three batches, the last of one row
    assert plan["tokens"]["image"] == 4
    assert 5 < plan["tokens"]["answer"] < 60
    assert plan["disk_gb"] < shutil.disk_usage(tmp_path).free / 1e9
    assert not (tmp_path / "out").exists()


def test_a_trainer_and_a_reward_service_of_the_same_machine_share_no_gpu_by_accident(model, tmp_path, monkeypatch):
    model.name = "reward_model"
    monkeypatch.setattr(gpus, "devices", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    asked = [
        "--recipe",
        "qwen2.5-vl-7b-three-rewards",
        "--data",
        str(tmp_path),
        "--model",
        "tiny",
        "--out",
        str(tmp_path / "out"),
    ]
    asked += ["--reward-model", str(tmp_path), "--reward-url", model.url]
    refused(globe("grpo", *asked), "trains on 8 GPUs and its reward service needs 1 of its own")
    planned = globe("grpo", *asked[:2], "--reward-url", model.url, "--plan", "--json")
    assert planned.returncode == 2
    assert "its reward service needs 1 of its own" in json.loads(planned.stdout)["reasons"][0]
    assert globe("grpo", *asked[:2], "--reward-url", model.url, "--plan", "--gpus", "4").returncode == 0
    assert globe("grpo", *asked[:2], "--reward-url", "http://judge.example/v1", "--plan").returncode == 0
    given = []
    monkeypatch.setattr(by_hand, "grpo_by_hand", lambda **_: given.append(1) or {"reused": False, "steps": 0, "checkpoint": ""})
    globe("grpo", *asked, "--set", "nproc_per_node=4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")  # named, so it is no accident
    globe("grpo", *asked)
    assert given == [1, 1]


def judged(folder, made):
    """A set of the reward model: three pictures that can be located, two that cannot, and some made rows."""
    place = {"country": "France", "city": "Paris", "lat_deg": 0.0, "lon_deg": 0.0, "split": "train", "reasoning": "roofs"}
    rows = [Row(id=f"p{n}", image=picture(n), localizable=n < 3, **place) for n in range(5)]
    origin = {"provenance": {"made": "cues_removed"}, "localizable": False}
    rows += [rows[0].model_copy(update={"id": f"made-{n}", **origin}) for n in range(made)]
    write_dataset(folder / "reward_model", rows)
    return str(folder)


@pytest.mark.parametrize("made", [0, 4])
def test_a_plan_counts_the_very_rows_that_the_reward_model_is_trained_on(tmp_path, made):
    data = judged(tmp_path / "data", made)
    plan = json.loads(globe("reward-model", "--recipe", "demo", "--data", data, "--plan", "--json").stdout)
    written = globe("rows", "--data", data, "--stage", "reward-model", "--out", str(tmp_path / "rows"))
    assert written.returncode == 0, written.stderr
    lines = (tmp_path / "rows" / "train.jsonl").read_text().splitlines()
    assert plan["rows"] == len(lines) == 2 * max(3, 4 + made)


@pytest.mark.parametrize(("stage", "name"), [("sft", "sft"), ("reward-model", "reward_model"), ("grpo", "pool")])
def test_a_plan_for_a_dataset_that_no_stage_could_read_is_refused(tmp_path, stage, name):
    row = {"country": "France", "city": "Paris", "lat_deg": 0.0, "lon_deg": 0.0, "split": "train"}
    write_dataset(tmp_path / name, [Row(id="a", image=picture(0), **row)])
    manifest = tmp_path / name / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    refused(globe(stage, "--recipe", "demo", "--data", str(tmp_path), "--plan"), f"{manifest}: format 1, not 2")


def test_rows_for_ms_swift_are_written_with_the_prompt_in_a_file(tmp_path):
    row = {"country": "France", "city": "Paris", "lat_deg": 0.0, "lon_deg": 0.0, "split": "train"}
    write_dataset(tmp_path / "data" / "pool", [Row(id=str(n), image=picture(n), **row) for n in range(3)])
    (tmp_path / "prompt.txt").write_text("Which town is it?")
    asked = ["rows", "--data", str(tmp_path / "data"), "--stage", "grpo", "--out", str(tmp_path / "rows")]
    done = json.loads(globe(*asked, "--prompt", str(tmp_path / "prompt.txt"), "--json").stdout)
    assert (done["stage"], done["rows"]) == ("grpo", 3)
    lines = [json.loads(line) for line in Path(done["file"]).read_text(encoding="utf-8").splitlines()]
    assert {line["messages"][0]["content"] for line in lines} == {"<image>Which town is it?"}
    assert [Path(line["picture"]).read_bytes() for line in lines] == [picture(n) for n in range(3)]


def test_rows_of_what_is_no_curated_folder_are_refused_and_nothing_is_written(tmp_path):
    asked = ["rows", "--data", str(tmp_path), "--out", str(tmp_path / "rows"), "--stage"]
    refused(globe(*asked, "sft"), "no dataset sft there")
    assert globe(*asked, "evaluation").returncode == 2
    assert not (tmp_path / "rows" / "train.jsonl").exists()
