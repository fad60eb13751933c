"""`globe sft`, `reward-model` and `grpo`: what they refuse before anything is trained."""

from command_line import globe, refused
from recorder import recorder

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
    given = []
    monkeypatch.setattr(by_hand, "grpo_by_hand", lambda **_: given.append(1) or {"reused": False, "steps": 0, "checkpoint": ""})
    globe("grpo", *asked, "--set", "nproc_per_node=4")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")  # named, so it is no accident
    globe("grpo", *asked)
    assert given == [1, 1]
