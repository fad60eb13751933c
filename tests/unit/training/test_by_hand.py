"""What `globe sft`, `globe reward-model` and `globe grpo` refuse before anything is trained or written."""

import json
import shutil
from pathlib import Path

import pytest

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.errors import GlobeError, InputError
from globe.models.publish import publish_checkpoint
from globe.training.by_hand import grpo_by_hand, sft_by_hand


@pytest.fixture
def asked(tmp_path, tiny_model) -> dict:
    place = {"lat_deg": 1.0, "lon_deg": 2.0, "country": "Peru", "city": "Lima"}
    row = Row(id="1", image=b"\x89PNG", split="train", reasoning="a road", **place)
    write_dataset(tmp_path / "curated" / "sft", [row])
    return {
        "recipe": "demo",
        "overrides": {},
        "data": str(tmp_path / "curated"),
        "model": str(tiny_model),
        "out": str(tmp_path / "out"),
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"out": ""}, "--out ''"),
        ({"out": "a\nb"}, r"--out 'a\\nb'"),
        ({"out": "/dev/full"}, "/dev/full"),
        ({"out": "/proc/none"}, "/proc/none"),
        ({"data": ""}, "--data ''"),
        ({"data": "/no/such"}, "no dataset sft there"),
        ({"model": ""}, "--model ''"),
        ({"model": "/no/such"}, "no such folder"),
        ({"recipe": "no-such"}, "no recipe 'no-such' for sft"),
        ({"overrides": {"num_train_epochs": float("inf")}}, "num_train_epochs"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(asked, tmp_path, wrong, says):
    with pytest.raises(InputError, match=says):
        sft_by_hand(**asked | wrong)
    assert not Path(asked["out"]).exists()
    assert not Path("/question.json").exists()


@pytest.mark.parametrize("half", [{"judge": "/x"}, {"reward_url": "http://127.0.0.1:1/v1"}])
def test_a_reward_model_needs_its_place_and_the_place_its_model(asked, half):
    with pytest.raises(InputError, match="belong together"):
        grpo_by_hand(**asked | half)


@pytest.mark.parametrize("text", ["no JSON", "[]", json.dumps({"stage": "grpo"})])
def test_a_folder_that_is_another_trainings_or_nobodys_is_left_alone(asked, text):
    out = Path(asked["out"])
    out.mkdir()
    (out / "question.json").write_text(text)
    with pytest.raises(InputError, match=r"question\.json|belongs to another question \(stage was 'grpo' and is now 'sft'; "):
        sft_by_hand(**asked)
    assert (out / "question.json").read_text() == text


def test_a_folder_with_files_of_others_is_refused_and_left_as_it_is(asked):
    theirs = Path(asked["out"]) / "checkpoint" / "thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(InputError, match="holds files that are no training's"):
        sft_by_hand(**asked)
    assert [path for path in Path(asked["out"]).rglob("*") if path.is_file()] == [theirs]


def test_a_checkpoint_whose_weights_were_exchanged_is_not_taken_for_what_its_manifest_says(asked, tmp_path, tiny_model):
    shutil.copytree(tiny_model, tmp_path / "m")
    publish_checkpoint(tmp_path / "m", base_model="tiny", recipe="", parent="", step=0)
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(GlobeError, match="is not the file that the manifest names"):
        sft_by_hand(**asked | {"model": str(tmp_path / "m")})
