"""`globe sft`, `reward-model` and `grpo`: what they refuse before anything is trained."""

from command_line import globe, refused


def test_a_reward_service_that_is_not_there_is_told_before_anything_is_trained(model, tmp_path):
    asked = ["--recipe", "demo", "--data", str(tmp_path), "--model", "tiny", "--out", str(tmp_path / "out")]
    refused(globe("grpo", *asked, "--reward-model", str(tmp_path), "--reward-url", model.url), "no model 'reward_model' there")
    assert not (tmp_path / "out").exists()
